-- No id is given out twice: what was opened by a user or with a token that is gone must not go on as another's.
CREATE TABLE last_ids (
    of TEXT PRIMARY KEY CHECK (of IN ('users', 'tokens')),
    id INTEGER NOT NULL
) STRICT;
INSERT INTO last_ids (of, id) VALUES
    ('users', (SELECT coalesce(max(id), 0) FROM users)),
    ('tokens', (SELECT coalesce(max(id), 0) FROM tokens));

CREATE TRIGGER last_id_of_users AFTER INSERT ON users
BEGIN
    UPDATE last_ids SET id = max(id, NEW.id) WHERE of = 'users';
END;

CREATE TRIGGER last_id_of_tokens AFTER INSERT ON tokens
BEGIN
    UPDATE last_ids SET id = max(id, NEW.id) WHERE of = 'tokens';
END;
