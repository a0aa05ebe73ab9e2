ALTER TABLE run ADD COLUMN glass INTEGER NOT NULL DEFAULT 0;
ALTER TABLE step ADD COLUMN ended_at TEXT;
CREATE INDEX step_ended ON step (ended_at);
CREATE TABLE sighting (
    server TEXT NOT NULL,
    ref TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (server, ref)
) WITHOUT ROWID;
CREATE TABLE document (
    kind TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;
