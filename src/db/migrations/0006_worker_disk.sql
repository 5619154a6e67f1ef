-- A worker says with its heartbeat that its disk has no room for another container.
ALTER TABLE workers ADD COLUMN disk_low BOOLEAN NOT NULL DEFAULT FALSE;
