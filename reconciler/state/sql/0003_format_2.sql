ALTER TABLE run ADD COLUMN digest BLOB;
ALTER TABLE step ADD COLUMN digest BLOB;
ALTER TABLE ledger ADD COLUMN digest BLOB;
ALTER TABLE job ADD COLUMN digest BLOB;
ALTER TABLE lease ADD COLUMN digest BLOB;
ALTER TABLE mark ADD COLUMN digest BLOB;
ALTER TABLE sighting ADD COLUMN digest BLOB;
ALTER TABLE document ADD COLUMN digest BLOB;
CREATE TABLE lineage (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    seq INTEGER,
    head TEXT,
    version INTEGER NOT NULL,
    schema TEXT NOT NULL,
    digest BLOB
);
CREATE TABLE tally (
    name TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    sum BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE server (
    name TEXT PRIMARY KEY,
    body BLOB NOT NULL,
    digest BLOB
) WITHOUT ROWID;
CREATE TABLE approval_use (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL,
    digest BLOB
) WITHOUT ROWID;
CREATE TABLE request (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    open INTEGER NOT NULL,
    body BLOB NOT NULL,
    digest BLOB
);
CREATE INDEX request_open ON request (open, sequence);
CREATE TABLE owed (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL,
    digest BLOB
);
CREATE TABLE intent (
    id TEXT PRIMARY KEY,
    open INTEGER NOT NULL,
    body BLOB NOT NULL,
    digest BLOB
) WITHOUT ROWID;
