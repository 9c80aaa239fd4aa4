"""Tests of the operator, as a package: a plain folder below `operator/` would be imported by pytest
as `operator.tests…` and shadow the standard library's `operator`.
"""
