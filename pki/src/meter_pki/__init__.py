"""The private certificate authority of a fleet and the keys that are derived for it.

`authority` signs, `authorities` reads which CAs there are, `identities` says what a certificate of
each party contains, `renewal` signs a meter's key anew, `init` makes the Secrets that an
installation lacks, `order_key` signs orders of the utility. May import
`meter_wire` and cryptography; the operator and `kubectl meter` import it, twins never do.
"""
