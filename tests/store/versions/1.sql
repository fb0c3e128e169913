PRAGMA application_id=1145520468;
PRAGMA user_version=1;
BEGIN TRANSACTION;
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
INSERT INTO "account" VALUES('dock','dock','7CTDM7100B1234',NULL,'$argon2id$v=19$m=19456,t=2,p=1$zVlr7R3DmFPqPWcsJYSQ0g$BYm2zCpEVMNekg5TVBjiJPw2fdEcgGUpGKowOW/azf4',1,0,1,1767225600000,1767225600000,1767225600003);
INSERT INTO "account" VALUES('eyes','observer',NULL,NULL,'$argon2id$v=19$m=19456,t=2,p=1$zVlr7R3DmFPqPWcsJYSQ0g$BYm2zCpEVMNekg5TVBjiJPw2fdEcgGUpGKowOW/azf4',0,1,4,1767225600000,1767225600002,NULL);
INSERT INTO "account" VALUES('platform','service',NULL,'fleet','$argon2id$v=19$m=19456,t=2,p=1$zVlr7R3DmFPqPWcsJYSQ0g$BYm2zCpEVMNekg5TVBjiJPw2fdEcgGUpGKowOW/azf4',1,0,2,1767225600000,1767225600000,NULL);
CREATE TABLE account_version (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  last INTEGER NOT NULL
) STRICT;
INSERT INTO "account_version" VALUES(1,4);
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
INSERT INTO "api_token" VALUES('script','3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0','read',1767225600000,'cli:root',NULL,NULL,NULL);
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
INSERT INTO "audit" VALUES(1,1767225600005,'dock','bind','7CTDM7100B1234','ok','{"dock":"7CTDM7100B1234","organization_id":"fleet","fresh":true}','7CTDM7100B1234');
INSERT INTO "audit" VALUES(2,1767225600005,'dock','bind','1581F6Q8D245H00A1B2C','ok','{"dock":"7CTDM7100B1234","organization_id":"fleet","fresh":true}','7CTDM7100B1234');
INSERT INTO "audit" VALUES(3,1767225599999,'gateway','login','dock','refused','{"reason":"wrong_password","dock":"7CTDM7100B1234"}','7CTDM7100B1234');
CREATE TABLE audit_horizon (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  trimmed_before INTEGER NOT NULL
) STRICT;
INSERT INTO "audit_horizon" VALUES(1,1767225599995);
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
INSERT INTO "bind_code" VALUES('GONE','other',NULL,NULL,NULL,1767225600004,1767225600000);
INSERT INTO "bind_code" VALUES('ONCE','fleet',1,1768225600000,'7CTDM7100B1234',NULL,1767225600000);
CREATE TABLE contact (
  account TEXT NOT NULL,
  client_id TEXT NOT NULL,
  sn TEXT,
  first_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  facts TEXT NOT NULL CHECK (facts GLOB '{*}'),
  PRIMARY KEY (account, client_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "contact" VALUES('dock','client-1','7CTDM7100B1234',1767225600000,1767225600001,'{"keepalive":30}');
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
INSERT INTO "device" VALUES('1581F6Q8D245H00A1B2C','7CTDM7100B1234',0,'0-91-0','Bird','fleet',1767225600005,'dock','ONCE',1767225600005,1767225600005,0,'bound');
INSERT INTO "device" VALUES('7CTDM7100B1234',NULL,1,'3-2-0','Dock ☂','fleet',1767225600005,'dock','ONCE',1767225600000,1767225600006,1,'online');
CREATE TABLE gateway_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  pid INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  heartbeat_at INTEGER NOT NULL,
  connections INTEGER NOT NULL,
  stats TEXT NOT NULL CHECK (stats GLOB '{*}')
) STRICT;
INSERT INTO "gateway_state" VALUES(1,4711,1767225600000,1767225600008,1,'{"rates":{"messages":0.5}}');
CREATE TABLE license (
  organization_id TEXT UNIQUE REFERENCES organization (id) ON DELETE CASCADE,
  app_id TEXT NOT NULL CHECK (app_id <> ''),
  app_key TEXT NOT NULL CHECK (app_key <> ''),
  app_license TEXT NOT NULL CHECK (app_license <> ''),
  ntp_server_host TEXT CHECK (ntp_server_host <> ''),
  ntp_server_port INTEGER NOT NULL CHECK (ntp_server_port BETWEEN 1 AND 65535),
  changed_at INTEGER NOT NULL
) STRICT;
INSERT INTO "license" VALUES(NULL,'1','key None','license None',NULL,123,1767225600000);
INSERT INTO "license" VALUES('fleet','1','key fleet','license fleet','192.0.2.1',123,1767225600000);
CREATE TABLE lockout (
  account TEXT NOT NULL,
  address TEXT NOT NULL,
  failures INTEGER NOT NULL CHECK (failures >= 0),
  locked_until INTEGER,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;
INSERT INTO "lockout" VALUES('dock','192.0.2.7',3,1767225600007,1767225600000);
CREATE TABLE migration (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  applied_at INTEGER NOT NULL
) STRICT;
INSERT INTO "migration" VALUES(1,'0001_first',1767225600000);
CREATE TABLE operator (
  name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
  password_hash TEXT NOT NULL CHECK (password_hash <> ''),
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  last_login_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "operator" VALUES('alice','$argon2id$v=19$m=19456,t=2,p=1$zVlr7R3DmFPqPWcsJYSQ0g$BYm2zCpEVMNekg5TVBjiJPw2fdEcgGUpGKowOW/azf4',1767225600000,1767225600000,NULL);
CREATE TABLE organization (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  name TEXT NOT NULL CHECK (name <> ''),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "organization" VALUES('fleet','Fleet ☂ ''quoted''',1767225600000);
INSERT INTO "organization" VALUES('other','Other',1767225600001);
CREATE INDEX account_of_organization ON account (organization_id);
CREATE UNIQUE INDEX license_default ON license (organization_id IS NULL) WHERE organization_id IS NULL;
CREATE INDEX device_of_gateway ON device (gateway_sn) WHERE gateway_sn IS NOT NULL;
CREATE INDEX device_of_organization ON device (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_of_target ON audit (target);
CREATE INDEX audit_of_dock ON audit (dock) WHERE dock IS NOT NULL;
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
CREATE INDEX contact_by_sn ON contact (sn);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',4);
COMMIT;
