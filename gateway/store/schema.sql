-- The truth about the tables. A migrated database must equal this file (gateway/store/migrate.py compares them at every open).
-- Times are milliseconds since 1970. Everything is STRICT; what a CHECK says here holds for every row, whoever wrote it.

CREATE TABLE migration (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE organization (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  name TEXT NOT NULL CHECK (name <> ''),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One number for all accounts, only ever growing: an account that is deleted and made again never has its predecessor's version,
-- so a live connection of the old one cannot pass for the new one.
CREATE TABLE account_version (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  last INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
  name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
  role TEXT NOT NULL CHECK (role IN ('dock', 'service', 'observer')),
  sn TEXT UNIQUE CHECK (sn <> ''),
  organization_id TEXT REFERENCES organization (id),
  password_hash TEXT NOT NULL CHECK (password_hash <> ''),
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  can_read_sys INTEGER NOT NULL CHECK (can_read_sys IN (0, 1)),
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  last_login_at INTEGER,
  CHECK (sn IS NULL OR role = 'dock')
) STRICT, WITHOUT ROWID;

CREATE INDEX account_of_organization ON account (organization_id);

-- UNIQUE (organization_id, code) is what device's foreign key points at: a device is bound with a code of its own organization.
CREATE TABLE bind_code (
  code TEXT NOT NULL PRIMARY KEY CHECK (code <> ''),
  organization_id TEXT NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
  uses_left INTEGER CHECK (uses_left >= 0),
  expires_at INTEGER,
  sn TEXT CHECK (sn <> ''),
  revoked_at INTEGER,
  created_at INTEGER NOT NULL,
  UNIQUE (organization_id, code)
) STRICT, WITHOUT ROWID;

-- organization_id NULL is the default license; nothing may be empty, since a dock would be handed a placeholder.
CREATE TABLE license (
  organization_id TEXT UNIQUE REFERENCES organization (id) ON DELETE CASCADE,
  app_id TEXT NOT NULL CHECK (app_id <> ''),
  app_key TEXT NOT NULL CHECK (app_key <> ''),
  app_license TEXT NOT NULL CHECK (app_license <> ''),
  ntp_server_host TEXT CHECK (ntp_server_host <> ''),
  ntp_server_port INTEGER NOT NULL CHECK (ntp_server_port BETWEEN 1 AND 65535),
  changed_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX license_default ON license (organization_id IS NULL) WHERE organization_id IS NULL;

-- A dock or what hangs on one. One organization and one parent per device, by construction.
CREATE TABLE device (
  sn TEXT NOT NULL PRIMARY KEY CHECK (sn <> ''),
  gateway_sn TEXT REFERENCES device (sn),
  is_gateway INTEGER NOT NULL CHECK (is_gateway IN (0, 1)),
  model_key TEXT NOT NULL,
  callsign TEXT NOT NULL,
  organization_id TEXT REFERENCES organization (id),
  bound_at INTEGER,
  bound_by TEXT,
  bound_code TEXT,
  first_seen_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL,
  online INTEGER NOT NULL CHECK (online IN (0, 1)),
  access_step TEXT NOT NULL CHECK (access_step IN ('seen', 'connected', 'licensed', 'bound', 'online')),
  CHECK (gateway_sn IS NULL OR (is_gateway = 0 AND gateway_sn <> sn)),
  CHECK ((organization_id IS NULL) = (bound_at IS NULL)),
  CHECK ((organization_id IS NULL) = (bound_by IS NULL)),
  CHECK ((organization_id IS NULL) = (bound_code IS NULL)),
  FOREIGN KEY (bound_code, organization_id) REFERENCES bind_code (code, organization_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX device_of_gateway ON device (gateway_sn) WHERE gateway_sn IS NOT NULL;
CREATE INDEX device_of_organization ON device (organization_id) WHERE organization_id IS NOT NULL;

-- Append only. dock: the dock that an entry about something else concerns, repeated from detail to be found by.
-- detail is a JSON object; json_valid() would say so better, but SQLite 3.40 does not allow it with trusted_schema=OFF.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  outcome TEXT NOT NULL,
  detail TEXT NOT NULL CHECK (detail GLOB '{*}'),
  dock TEXT
) STRICT;

CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_of_target ON audit (target);
CREATE INDEX audit_of_dock ON audit (dock) WHERE dock IS NOT NULL;

-- How far the audit was trimmed; the only way to delete entries is to move this forward first.
CREATE TABLE audit_horizon (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  trimmed_before INTEGER NOT NULL
) STRICT;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
  SELECT RAISE(ABORT, 'the audit is append only');
END;

CREATE TRIGGER audit_is_only_trimmed BEFORE DELETE ON audit
WHEN old.at >= coalesce((SELECT trimmed_before FROM audit_horizon), old.at)
BEGIN
  SELECT RAISE(ABORT, 'the audit is append only');
END;

CREATE TRIGGER audit_horizon_never_goes_back BEFORE UPDATE ON audit_horizon
WHEN new.trimmed_before < old.trimmed_before
BEGIN
  SELECT RAISE(ABORT, 'the audit is append only');
END;

-- account is not a foreign key: names that do not exist are locked out as well.
CREATE TABLE lockout (
  account TEXT NOT NULL,
  address TEXT NOT NULL,
  failures INTEGER NOT NULL CHECK (failures >= 0),
  locked_until INTEGER,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;

-- What the running gateway says of itself, for the commands that ask while it runs.
CREATE TABLE gateway_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  pid INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  heartbeat_at INTEGER NOT NULL,
  connections INTEGER NOT NULL,
  stats TEXT NOT NULL CHECK (stats GLOB '{*}')
) STRICT;

-- What a client said of itself when it connected: no public source tells what real docks put there.
CREATE TABLE contact (
  account TEXT NOT NULL,
  client_id TEXT NOT NULL,
  sn TEXT,
  first_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  facts TEXT NOT NULL CHECK (facts GLOB '{*}'),
  PRIMARY KEY (account, client_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX contact_by_sn ON contact (sn);

-- Tokens of programs for the admin HTTP. digest is the SHA-256 of 256 random bits, which nobody can go back from. A revoked one
-- stays, so that its name in the audit means one token for ever.
CREATE TABLE api_token (
  name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
  digest TEXT NOT NULL UNIQUE CHECK (length(digest) = 64),
  scope TEXT NOT NULL CHECK (scope IN ('read', 'write')),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER,
  last_used_at INTEGER
) STRICT, WITHOUT ROWID;

-- Who may log in to the console. Their sessions are in memory only: a stolen copy of the database opens none.
CREATE TABLE operator (
  name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
  password_hash TEXT NOT NULL CHECK (password_hash <> ''),
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  last_login_at INTEGER
) STRICT, WITHOUT ROWID;
