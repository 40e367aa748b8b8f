"""Real servers on loopback without containers, for tests and local stacks; the standard library is enough."""
