"""One folder of migrations per schema: the registry's and the activity's."""
