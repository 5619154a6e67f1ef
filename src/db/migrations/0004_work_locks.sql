-- Who among several web nodes does something that must not be done twice at a time. Rows of nodes that are not heard of
-- any more (lease_nodes) are void, and deleted when leases are renewed.
CREATE TABLE work_locks (
    key  {{text}} PRIMARY KEY,
    node {{text}} NOT NULL
);
