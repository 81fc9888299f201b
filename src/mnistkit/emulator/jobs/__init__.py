"""Jobs as processes: started, watched, ended with all that they have started."""
