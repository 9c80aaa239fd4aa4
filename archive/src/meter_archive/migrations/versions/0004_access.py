"""Who may ask, and who has asked what."""

from alembic import op

revision = "0004"
down_revision = "0003"

_TABLES = """
CREATE TABLE token (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    everything boolean NOT NULL DEFAULT false,
    label_name text,
    label_value text,
    created timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    revoked timestamptz,
    last_used timestamptz,
    CHECK ((label_name IS NULL) = (label_value IS NULL)),
    CHECK (NOT everything OR label_name IS NULL));
COMMENT ON COLUMN token.digest IS 'SHA-256 of the token, which is stored nowhere';

CREATE TABLE token_grant (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token integer NOT NULL REFERENCES token ON DELETE CASCADE,
    point text NOT NULL,
    since timestamptz NOT NULL,
    "until" timestamptz,
    CHECK ("until" IS NULL OR "until" >= since));
COMMENT ON TABLE token_grant IS 'a metering point that a token sees, until excluded';
CREATE INDEX token_grant_of_token ON token_grant (token);

CREATE TABLE access (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time timestamptz NOT NULL,
    who text NOT NULL,
    address text NOT NULL,
    route text NOT NULL,
    parameters text NOT NULL,
    status smallint NOT NULL,
    devices integer NOT NULL,
    rows integer NOT NULL,
    points text[] NOT NULL);
COMMENT ON TABLE access IS 'each question that was asked, written before its answer is given';
CREATE INDEX access_of_time ON access (time)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
