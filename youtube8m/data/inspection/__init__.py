"""What is in some shards: kinds of records, features, labels, ratings and damage.

found = inspect("train*.tfrecord", "--flag")      # of `inspector`
found.training_flags, found.notes                 # what to do with them
print("\\n".join(as_text(found)))                  # of `listing`
"""
