"""Devices, their incarnations, and the entries."""

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE device (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    epoch bigint NOT NULL DEFAULT 0);
COMMENT ON COLUMN device.epoch IS 'the highest that has pushed: lower ones are refused';

CREATE TABLE incarnation (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device integer NOT NULL REFERENCES device,
    identity bytea NOT NULL CHECK (length(identity) = 8),
    first_seen timestamptz NOT NULL DEFAULT now(),
    held int8multirange NOT NULL DEFAULT '{}',
    UNIQUE (device, identity));
COMMENT ON COLUMN incarnation.held IS 'numbers of the entries that are stored, or were';

CREATE TABLE hole (
    incarnation integer NOT NULL REFERENCES incarnation,
    reason smallint NOT NULL,
    numbers int8multirange NOT NULL,
    PRIMARY KEY (incarnation, reason));
COMMENT ON TABLE hole IS 'numbers that will not come, by reason (docs/reference/link-v1.md)';

CREATE TABLE layout (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    codes bytea NOT NULL UNIQUE CHECK (length(codes) % 6 = 0));
COMMENT ON TABLE layout IS 'which registers a reading has: OBIS codes, six bytes each, in order';

CREATE TABLE entry (
    time timestamptz NOT NULL,
    received timestamptz NOT NULL,
    seq bigint NOT NULL,
    incarnation integer NOT NULL,
    layout integer,
    epoch bigint NOT NULL,
    status integer NOT NULL,
    kind smallint NOT NULL,
    event integer,
    signed boolean NOT NULL,
    values bigint[],
    raw bytea NOT NULL,
    PRIMARY KEY (incarnation, time, seq)) PARTITION BY RANGE (time);
COMMENT ON COLUMN entry.raw IS 'the bytes of the meter, never altered; other columns are derived';
COMMENT ON COLUMN entry.signed IS 'true: source-signed by the meter; false: twin-attested';

CREATE TABLE entry_default PARTITION OF entry DEFAULT;

CREATE TABLE conflict (
    incarnation integer NOT NULL REFERENCES incarnation,
    seq bigint NOT NULL,
    digest bytea NOT NULL,
    seen timestamptz NOT NULL DEFAULT now(),
    epoch bigint NOT NULL,
    raw bytea NOT NULL,
    PRIMARY KEY (incarnation, seq, digest));
COMMENT ON TABLE conflict IS 'other bytes under the identity of an entry: kept apart, counted'
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
