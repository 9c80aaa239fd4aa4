"""What a mutation is given."""

from collections.abc import Callable
from typing import Any

Replace = Callable[[Any, str, Any], None]
"""Replace an attribute of an object; whoever gives it undoes that afterwards."""
Mutation = Callable[[Replace], None]
