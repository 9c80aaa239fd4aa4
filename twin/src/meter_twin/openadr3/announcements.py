"""What a utility is told without having asked for values: refusals, and bids for capacity.

3.1 has no service for opts and assumes that a house takes part; so a report tells that it does not,
and another one if it does again. Each is told once: what was told outlives the process, and the
name of a report says what it tells. Neighbours: `agent`, `outbox` (sends), `report_codec`,
`capacity`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from meter_twin.demand_response.capacity_bid import Bidding, list_offers
from meter_twin.demand_response.dr_event import DrEvent
from meter_twin.demand_response.event_book import Kept, Status

from .capacity import build_bid, find_asking
from .capacity_description import Answered, note_bid
from .event_codec import Occasion
from .json_codec import MOST_TEXT
from .report_codec import Author, Letter, build_opt, name_opt

OVER = (Status.COMPLETED, Status.CANCELLED)


class Announcements:
    """See the module."""

    def __init__(
        self,
        author: Author,
        bidding: Bidding | None,
        told: Mapping[str, tuple[int, bool]],
        bids: Mapping[str, int],
        answered: Mapping[str, Answered],
    ) -> None:
        """Go on with what was told before; `bidding` answers offers, None for no bids."""
        self._author = author
        self._bidding = bidding
        self.told = dict(told)
        """By event: how many decisions were told, and whether the last one was to take part."""
        self.bids = dict(bids)
        """By offer: the modification that was answered."""
        self.answered = dict(answered)
        """By offer: what was bid, for people."""
        self._offers: dict[str, str] = {}

    def tell(self, events: Iterable[Kept], now_s: int) -> list[Letter]:
        """Return a report for each decision that differs from what the utility was told."""
        kept = list(events)
        present = {one.event.event_id for one in kept}
        self.told = {one: told for one, told in self.told.items() if one in present}
        letters = []
        for one in kept:
            event = one.event
            number, is_in = self.told.get(event.event_id, (0, True))
            is_of_use = event.is_answered and not event.fault and one.find_status(now_s) not in OVER
            if is_of_use and one.opt.is_in != is_in:
                name = name_opt(number + 1, is_in=one.opt.is_in)
                body = build_opt(self._author, one, name)
                letters.append(Letter(event.event_id, name, body, number + 1))
        return letters

    def bid(
        self,
        said: Sequence[Occasion],
        assumed: Collection[str],
        events: Mapping[str, DrEvent],
        now_s: int,
    ) -> list[Letter]:
        """Return a bid for each offer that was not answered in its modification.

        Args:
            said: all events.
            assumed: further ones, by id, of which nothing new is known.
            events: those that the house takes part in, by id.
            now_s: UTC.
        """
        present = {*(one.event_id for one in said), *assumed}
        self.bids = {one: at for one, at in self.bids.items() if one in present}
        self.answered = {one: at for one, at in self.answered.items() if one in present}
        self._offers = {name: one for name, one in self._offers.items() if one in present}
        letters = []
        for one in said if self._bidding is not None else ():
            asking, event = find_asking(said, one), events.get(one.event_id)
            if asking is None or event is None or self.bids.get(one.event_id) == one.modified_us:
                continue
            if event.resources:
                continue  # who bids is the house
            offers = list_offers(event, now_s)
            wanted = list(self._bidding(offers)) if offers and self._bidding else []
            name = f"bid-{one.modified_us}-{one.event_id}"[:MOST_TEXT]
            letter = build_bid(self._author, asking, name, wanted)
            if letter is not None:
                self._offers[name] = one.event_id
                self.answered[one.event_id] = note_bid(one.modified_us, wanted)
                letters.append(letter._replace(mark=one.modified_us))
        return letters

    def settle(self, letter: Letter, *, is_refused: bool) -> bool:
        """Note that the VTN has a report, or wants none; return whether it is one of these."""
        kind, _, rest = letter.name.partition("-")
        if kind == "opt":
            self.told[letter.event_id] = (letter.mark, rest.endswith("-in"))
        elif kind == "bid":
            offer = self._offers.pop(letter.name, letter.event_id)
            self.bids[offer] = letter.mark
            if is_refused and offer in self.answered:
                self.answered[offer] = self.answered[offer]._replace(is_refused=True)
        return kind in ("opt", "bid")
