"""What RA3, NTP, RLVR and pass@k are: pure functions beside the short loops that call them."""
