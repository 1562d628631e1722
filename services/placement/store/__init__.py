"""Every query of the controller. Functions take a Transaction; none commits, none decides."""
