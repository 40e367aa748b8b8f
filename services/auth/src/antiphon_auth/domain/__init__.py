"""What auth decides: accounts, passwords, guessing and sessions. Nothing here reads or writes."""
