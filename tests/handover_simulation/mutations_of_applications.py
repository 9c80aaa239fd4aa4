"""What is done wrong with a twin's applications and their states."""

from typing import Any

from meter_twin import application_host, store_queries, succession

from .replacing import Replace


def applications_begin_without_those_before(replace: Replace) -> None:
    """A twin that has nobody to ask begins, whoever has begun before it; and gives that on."""

    def has_all(self: Any) -> bool:
        return self._record is not None and self.taker.covered.keys() >= {
            one.epoch for one in self.donors
        }

    replace(succession.Succession, "has_all", property(has_all))


def an_application_is_not_handed_some_entries(replace: Replace) -> None:
    """Every fifth that is stored is passed over, in every twin."""
    right = store_queries.load_feed

    def load(*arguments: Any) -> Any:
        return [row for row in right(*arguments) if row.position.seq % 5]

    replace(application_host, "load_feed", load)


def an_application_goes_back_an_entry(replace: Replace) -> None:
    """A state that is taken over is said to be from one entry before."""
    right = application_host.ApplicationHost.adopt

    def adopt(self: Any, name: str, saved: Any) -> None:
        place = saved.position._replace(seq=max(0, saved.position.seq - 1))
        right(self, name, saved._replace(position=place))

    replace(application_host.ApplicationHost, "adopt", adopt)


def states_are_not_taken_over(replace: Replace) -> None:
    """Applications begin anew from the entries that are left, and say that they have gone on."""
    replace(application_host.ApplicationHost, "adopt", lambda *_: None)


def an_older_twin_is_never_done(replace: Replace) -> None:
    """It does not say that it is retired, so nobody knows that nothing will follow."""
    replace(succession.Succession, "is_retired", property(lambda _self: False))
