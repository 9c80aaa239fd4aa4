"""What a VEN and its VTN know of each other, and what waits to be said. Pure.

Source: OpenADR 2.0b Profile Specification, 8.2 (EiRegisterParty). Neighbours: `ven` and `answers`,
which change it.
"""

from collections.abc import Callable, Collection

from .dialogue import Registration
from .outbox import Outbox
from .report_codec import ReportOffer


class Party:
    """One VEN's side."""

    def __init__(
        self,
        offers: Collection[ReportOffer],
        new_id: Callable[[], str],
        registration: Registration | None,
    ) -> None:
        """Begin without a registration, or go on with one."""
        self.offers = tuple(offers)
        self.registration = registration
        self.former: Registration | None = None
        """The registration that was lost; the VTN is told of it when the VEN registers again."""
        self.has_offered = registration is not None
        """The VTN knows which reports there are."""
        self.has_asked_events = False
        """The VTN has been asked for all events."""
        self.next_poll_s = 0
        self.outbox = Outbox(new_id)
        self.outbox.ven_id = self.ven_id

    @property
    def ven_id(self) -> str:
        """The id that the VTN gave, empty without a registration."""
        return self.registration.ven_id if self.registration else ""

    def lose_registration(self) -> None:
        """Register anew; the VTN is told of the registration before."""
        self.registration, self.former = None, self.registration
        self.has_offered = self.has_asked_events = False
