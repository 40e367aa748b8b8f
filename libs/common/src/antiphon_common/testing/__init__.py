"""What tests of several packages share: tokens, running apps, waiting, and a contract suite for each port."""
