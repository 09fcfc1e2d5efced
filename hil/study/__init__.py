"""`hil study`: compression methods, recipes and searches compared over seeds, with statistics."""
