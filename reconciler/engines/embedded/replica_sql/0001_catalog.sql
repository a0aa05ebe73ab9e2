CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE pack (
    id TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE block (
    name BLOB PRIMARY KEY,
    pack TEXT NOT NULL REFERENCES pack (id),
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    block_length INTEGER NOT NULL,
    encoding INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX block_pack ON block (pack);
CREATE TABLE map (
    id INTEGER PRIMARY KEY,
    base INTEGER REFERENCES map (id),
    depth INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE point (
    id TEXT PRIMARY KEY,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    consistency TEXT NOT NULL,
    scheduled_for TEXT,
    source_bytes INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL,
    machine_name TEXT NOT NULL,
    verified_at TEXT,
    binned_at TEXT,
    map INTEGER NOT NULL REFERENCES map (id)
) WITHOUT ROWID;
CREATE INDEX point_time ON point (time);
CREATE TABLE job (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    result BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE cut_over (
    job TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE bad_block (
    name BLOB PRIMARY KEY,
    found_at TEXT NOT NULL
) WITHOUT ROWID;
