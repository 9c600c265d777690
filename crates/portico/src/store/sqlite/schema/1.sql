-- What this store is.
CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- Which secret the digests were made under.
    secret BLOB NOT NULL CHECK (length(secret) = 32)
) STRICT;

-- Times are microseconds since 1970.
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    password TEXT,
    role TEXT NOT NULL CHECK (role IN ('user', 'operator')),
    plan TEXT,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created INTEGER NOT NULL,
    epoch INTEGER NOT NULL CHECK (epoch >= 0)
) STRICT;

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created INTEGER NOT NULL,
    expires INTEGER,
    -- JSON lists of texts.
    models TEXT NOT NULL,
    networks TEXT NOT NULL,
    last_used INTEGER,
    revoked INTEGER,
    replaced_by TEXT
) STRICT;
CREATE INDEX keys_of_user ON keys (user);

CREATE TABLE invitations (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    -- One at a time.
    user TEXT NOT NULL UNIQUE REFERENCES users (name) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    bound_to BLOB NOT NULL CHECK (length(bound_to) = 32),
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user);
CREATE INDEX sessions_by_end ON sessions (expires);

CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    address TEXT,
    detail TEXT NOT NULL,
    mac BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;
