CREATE TABLE record (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE machine_map (
    id INTEGER PRIMARY KEY,
    base INTEGER,
    depth INTEGER NOT NULL,
    body BLOB NOT NULL,
    seal BLOB NOT NULL
);
CREATE TABLE stored_block (
    name BLOB PRIMARY KEY,
    pack TEXT NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    block_length INTEGER NOT NULL,
    encoding INTEGER NOT NULL,
    base BLOB,
    seal BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX stored_block_pack ON stored_block (pack);
