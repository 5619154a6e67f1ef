-- What the server does by itself, the message that everybody sees, keys of id tokens (reference 01 §20, §21, 05 §7.1).

-- one per component: store/component.c lists them
CREATE TABLE components (
    name             {{text}} NOT NULL PRIMARY KEY,
    run_interval     BIGINT NOT NULL,           -- nanoseconds
    last_ran         BIGINT NOT NULL DEFAULT 0, -- 0: never; up to a minute behind
    paused           BOOLEAN NOT NULL DEFAULT FALSE
);

-- at most one row
CREATE TABLE walls (
    id      BIGINT NOT NULL PRIMARY KEY,
    message {{text}} NOT NULL,
    expires BIGINT NOT NULL -- 0: never
);

-- one of each algorithm and those before them: store/signing_key.c
CREATE TABLE signing_keys (
    id        {{id}},
    kid       {{text}} NOT NULL UNIQUE,
    algorithm {{text}} NOT NULL,
    created   BIGINT NOT NULL,
    pem       {{text}} NOT NULL, -- of the private key, sealed
    pem_nonce {{text}}
);
