CREATE TABLE run (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL,
    plan BLOB,
    ended INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX run_open ON run (ended, sequence);
CREATE TABLE step (
    sequence INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES run (id),
    step TEXT NOT NULL,
    started_at TEXT NOT NULL,
    outcome BLOB,
    UNIQUE (run, step)
);
CREATE TABLE ledger (
    server TEXT NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (server, name)
) WITHOUT ROWID;
CREATE TABLE job (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    running INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX job_running ON job (running, sequence);
CREATE INDEX job_source ON job (source, kind, started_at, sequence);
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    body BLOB
) WITHOUT ROWID;
CREATE TABLE mark (
    name TEXT PRIMARY KEY,
    at TEXT NOT NULL
) WITHOUT ROWID;
