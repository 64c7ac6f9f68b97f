-- Logins by raspiCamSrv's API. The token is what a user sees and revokes; the hash is of what the login's JWTs name it by.
CREATE TABLE script_logins (
    token_id INTEGER PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    hash TEXT NOT NULL UNIQUE
) STRICT;

-- The key that signs them: one row, made when webd starts for the first time.
CREATE TABLE script_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    secret TEXT NOT NULL
) STRICT;

CREATE TRIGGER another_password_ends_script_logins AFTER UPDATE OF password_hash ON users
BEGIN
    DELETE FROM tokens WHERE user_id = NEW.id AND id IN (SELECT token_id FROM script_logins);
END;
