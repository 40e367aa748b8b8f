"""Artists, albums and tracks: values and their rules. Nothing here reads or writes."""
