"""What stream holds besides its database: the signing keys, open files, and credits on their way."""
