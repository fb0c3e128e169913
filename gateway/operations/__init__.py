"""What an operator can do and see, without a face: the command line and the admin HTTP call the same functions here.

Plain values and a database connection come in, dictionaries whose keys are a promise go out. Nothing here prints, asks, or
knows who is looking; and no change is made without the audit entry that tells of it.
"""
