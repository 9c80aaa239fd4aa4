"""What the owner gate remembers, in the store: it outlives a restart of the process.

Neighbours: `owner_gate` (what it is for), `operator_line` (saves before it acts).
"""

from . import log
from .owner_gate import UNKNOWN, GateMemory
from .store import Store
from .store_schema import StoreError


def load_gate_memory(store: Store) -> GateMemory:
    """Return what was saved last, or that nothing was."""
    find = store.find_property
    return GateMemory(
        find("gate_term") or 0,
        find("gate_counter") or 0,
        find("gate_state") or UNKNOWN,
        bool(find("gate_waited")),
        bool(find("gate_stopped")),
        find("gate_stop_term") or 0,
        find("gate_stop_counter") or 0,
    )


def save_gate_memory(store: Store, memory: GateMemory) -> bool:
    """Save; whether it is durable, because what a twin says of a handover rests on it.

    Else it holds while the process lives; the retained copy comes again with the next reading.
    """
    try:
        store.save_properties(
            {
                "gate_term": memory.term,
                "gate_counter": memory.counter,
                "gate_state": memory.state,
                "gate_waited": int(memory.waited),
                "gate_stopped": int(memory.stopped),
                "gate_stop_term": memory.stop_term,
                "gate_stop_counter": memory.stop_counter,
            }
        )
    except StoreError as error:
        log.log("error", "control record is not durable", message=str(error))
        return False
    return True
