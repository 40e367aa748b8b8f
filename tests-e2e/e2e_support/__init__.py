"""What the journeys share: a platform, people who use it, and music to upload."""
