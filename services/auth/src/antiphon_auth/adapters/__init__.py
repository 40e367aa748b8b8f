"""What auth uses besides database and bus: secret files, the key ring, hashing, the bootstrap file."""
