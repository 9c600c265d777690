PRAGMA application_id = 1349678179;
PRAGMA user_version = 1;
CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- Which secret the digests were made under.
    secret BLOB NOT NULL CHECK (length(secret) = 32)
) STRICT;
INSERT INTO store VALUES (1, x'e54697a9260ee213dffc7a722c91d364956be9c0131cf55b67f9bc9a4215b152');
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    password TEXT,
    role TEXT NOT NULL CHECK (role IN ('user', 'operator')),
    plan TEXT,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created INTEGER NOT NULL,
    epoch INTEGER NOT NULL CHECK (epoch >= 0)
) STRICT;
INSERT INTO users VALUES ('ada', '$argon2id$of ada', 'operator', 'gold', 0, 1772323200000000, 3);
INSERT INTO users VALUES ('李明', NULL, 'user', NULL, 1, 1772323200000000, 0);
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
INSERT INTO keys VALUES ('one', 'ada', 'ada''s', x'28630db1a183d75d5af3317e2dd93c12db8312e5f76c4340e097ef00f7cb94ff', 1772323201000000, 1772332200000000, '["qwen"]', '["192.0.2.0/24"]', 1772323260000000, 1772323270000000, 'two');
INSERT INTO keys VALUES ('two', 'ada', 'ada''s', x'3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', 1772323201000000, NULL, '[]', '[]', NULL, NULL, NULL);
CREATE INDEX keys_of_user ON keys (user);
CREATE TABLE invitations (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    -- One at a time.
    user TEXT NOT NULL UNIQUE REFERENCES users (name) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
INSERT INTO invitations VALUES (x'390fa64fe9e09d26855034a26d7cc2bf810cc19c8689061341b315432993f93e', '李明', 1772323203000000, 1772323300000000);
CREATE TABLE sessions (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    -- Somebody of an htpasswd file need not be among the users.
    user TEXT NOT NULL,
    bound_to BLOB NOT NULL CHECK (length(bound_to) = 32),
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT;
INSERT INTO sessions VALUES (x'2529363bd723c71c635898c51d72c08db61b561e4417255ba568af4813880aa6', 'ada', x'80f70afeef3caa57646fd20afb95be9c3f2c03d38e091906de31838813dcc22e', 1772323202000000, 4000000000000000, '192.0.2.7', 'Mozilla/5.0 (X11; Linux)');
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
INSERT INTO audit VALUES (1, 1, 1772323200000000, 'system:root', 'a.change', 'ada', '2001:db8::1', '第一', x'53eb36ded9b891a0850a51df7ccadea92e99f5bb2e0639caeda9417a14e15172');
INSERT INTO audit VALUES (2, 1, 1772323200000000, 'system:root', 'a.change', 'ada', '2001:db8::1', '第一', x'21d3c39c8a4123a29e2d464b2a7f62499fd2d24a54a5e9d6c7fe4fa31b2d2e5b');
INSERT INTO audit VALUES (3, 1, 1772323200000000, 'system:root', 'a.change', 'ada', '2001:db8::1', '第一', x'f2c377935117c978a75487d12dd3fc7f04b82291caf219cae02fc1facd4e06ee');
INSERT INTO audit VALUES (4, 1, 1772323200000000, 'system:root', 'a.change', 'ada', '2001:db8::1', '第一', x'49416176b87d5ee0e5db53036a2c3b70fcf97bba62e9282e830e0e675c2888e0');
INSERT INTO audit VALUES (5, 1, 1772323200000000, 'system:root', 'a.change', 'ada', '2001:db8::1', '第一', x'634ea7383434fbfeb3fd1fc834be50d978a8fbebe3f2de8dd85610caf22842e4');
INSERT INTO audit VALUES (6, 1, 1772323200000000, 'system:root', 'login', 'ada', NULL, '', x'b08932abb2a88036686ba2ef463aa0d60693d2d30a18d43e43fee289c8152d40');
