def receptive_field(x): pass
def receptive_field_of(x): pass
