"""Jobs as processes: started, watched, ended together with their descendants."""
