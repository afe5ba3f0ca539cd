"""Whole commands in odd situations, each made from a seed.

    python -m tests.helpers.fuzz_commands --examples=5000 --seed=0
    python -m tests.helpers.fuzz_commands --examples=1 --seed=1234  # its log

An example ends well with status 0 and complete output: rows and losses that are told
add up to the records. Or with another status and one line. It never ends with a stack
trace, a signal, a hang, or less output than input without a word.
"""
