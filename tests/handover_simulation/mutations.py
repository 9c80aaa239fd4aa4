"""Ways to break the handover, each of which the simulation has to find.

Each is a function that patches the real code through `replace`, which undoes it afterwards. If one
of them is not found any more, the simulation has lost its teeth: make it sharper, don't remove it.
`RARE` are found in one of some hundred seeds only; `NOT_FOUND` says where the simulation says nothing.
Neighbours: `mutations_of_operator`, `mutations_of_twin` and so on (who does it wrong).
"""

from . import mutations_of_applications as of_applications
from . import mutations_of_meter as of_meter
from . import mutations_of_operator as of_operator
from . import mutations_of_twin as of_twin

FOUND = (
    of_operator.donors_are_not_named,
    of_operator.commit_without_proof,
    of_operator.freeze_without_snapshot_and_commit_on_hello,
    of_operator.old_twin_is_removed_at_commit,
    of_twin.marks_are_taken_for_possession,
    of_twin.the_highest_seen_is_acknowledged,
    of_twin.what_a_donor_has_pruned_is_deleted,
    of_twin.readings_expire_before_applications_have_begun,
    of_twin.authority_without_a_lease,
    of_operator.no_wait_after_a_takeover,
    of_meter.the_floor_moves_at_candidate,
    of_operator.retired_is_not_said,
    of_operator.the_candidate_is_told_it_is_active,
    of_operator.decisions_without_compare_and_swap,
    of_operator.epochs_are_used_again,
    of_operator.abort_without_a_new_counter,
    of_operator.a_restored_status_is_believed,
    of_operator.a_stop_ends_in_its_own_term,
    of_twin.a_twin_forgets_a_stop,
    of_applications.applications_begin_without_those_before,
    of_applications.an_application_is_not_handed_some_entries,
    of_applications.an_application_goes_back_an_entry,
    of_applications.states_are_not_taken_over,
    of_twin.a_word_has_a_key_in_it,
)
RARE = (
    of_twin.control_records_of_any_age,
    of_operator.a_lost_lease_is_taken_again,
    of_operator.the_term_of_a_restored_lease,
    of_twin.authority_without_the_meters_word,
)
"""Several things have to go wrong at once: looked for in the long runs only."""
IN_CALM = (of_applications.an_older_twin_is_never_done,)
"""An upgrade without any fault shows it: readers would have to wait."""
NOT_FOUND = {
    of_meter.owner_records_of_any_age: "200 seeds; the operator says the record again whenever it connects or"
    " hears another one, a retired twin acknowledges nothing, and a meter without acks asks",
    of_twin.a_retired_twin_goes_on: "120 seeds; the meter leaves a retired twin with the record of the same"
    " decision, so little comes after what was said to be final",
    of_twin.a_twin_forgets_its_orders: "not tried in enough; the retained record says the same again",
    of_meter.candidates_acknowledge: "not tried in enough; stores of given-up candidates are donors too",
    of_operator.a_commit_forgets_the_wait: "not tried in enough; most old twins hear that they are retired",
    of_operator.a_proof_of_any_root: "140 seeds; the old twin is a donor after the commit, so what came after the"
    " first proof is taken then, or asked of the meter's ring",
    of_operator.a_donor_is_spent_with_any_cover: "140 seeds; a taker asks each second, and what it has not taken is"
    " still in the ring unless peers and owner record are both late by all of that",
}
"""Nothing is proved of these: which lock seems to hold instead."""
MUTATIONS = {function.__name__: function for function in FOUND}
RARE_MUTATIONS = {function.__name__: function for function in RARE}
