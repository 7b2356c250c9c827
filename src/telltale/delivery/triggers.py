"""The trigger that keeps lanes and deliveries together: SQL, run by a migration."""

from __future__ import annotations

# Whoever inserts a waiting delivery, or gives one another time or lane, makes that lane ready no later than it.
# The row lock on the lane is part of the promise: without it, a claim that runs at the same time could find the
# lane empty and put it to sleep for ever.
CREATE = """
CREATE FUNCTION telltale_ready_destination() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO delivery_destination (name, ready_at, at_once, provider)
    VALUES (NEW.destination, NEW.next_attempt_at, %(at_once)s, '')
    ON CONFLICT (name) DO UPDATE SET ready_at = GREATEST(
        LEAST(delivery_destination.ready_at, EXCLUDED.ready_at), delivery_destination.blocked_until
    );
    RETURN NULL;
END $$;

CREATE TRIGGER telltale_delivery_waits
AFTER INSERT OR UPDATE OF next_attempt_at, destination ON delivery_delivery
FOR EACH ROW WHEN (NEW.next_attempt_at IS NOT NULL)
EXECUTE FUNCTION telltale_ready_destination();
"""

DROP = """
DROP TRIGGER telltale_delivery_waits ON delivery_delivery;
DROP FUNCTION telltale_ready_destination();
"""
