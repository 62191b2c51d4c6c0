"""Cases whose outcome follows from AWS's rules for conditions: operators, keys, values, and what is missing."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.auth.policy.table import ALLOWED, DENIED, NOTHING, Values, allow, decide, deny, request

Block = Mapping[str, Mapping[str, Any]]
Facts = Mapping[str, Values]

NAME, TAG, TAGS = "aws:username", "aws:PrincipalTag/team", "aws:TagKeys"
IP, TIME, ARN, TLS = "aws:SourceIp", "aws:CurrentTime", "aws:PrincipalArn", "aws:SecureTransport"
SIZE, RAW = "jwt:size", "jwt:raw"
USER = "arn:aws:iam::123456789012:user/eu/alice"
NOON = "2024-06-01T12:00:00Z"

# (the rule, the condition, the context, whether it holds)
STRINGS: list[tuple[str, Block, Facts, bool]] = [
    ("StringEquals: the same", {"StringEquals": {NAME: "alice"}}, {NAME: "alice"}, True),
    ("StringEquals: another", {"StringEquals": {NAME: "alice"}}, {NAME: "bob"}, False),
    ("StringEquals: case counts", {"StringEquals": {NAME: "Alice"}}, {NAME: "alice"}, False),
    ("StringEquals: * is no wildcard", {"StringEquals": {NAME: "al*"}}, {NAME: "alice"}, False),
    ("StringEquals: * is an asterisk", {"StringEquals": {NAME: "al*"}}, {NAME: "al*"}, True),
    ("StringEquals: no part of it", {"StringEquals": {NAME: "alic"}}, {NAME: "alice"}, False),
    ("StringEquals: any of the values", {"StringEquals": {NAME: ["bob", "alice"]}}, {NAME: "alice"}, True),
    ("StringEquals: none of the values", {"StringEquals": {NAME: ["bob", "eve"]}}, {NAME: "alice"}, False),
    ("StringEquals: missing key", {"StringEquals": {NAME: "alice"}}, {}, False),
    ("StringEquals: empty key", {"StringEquals": {NAME: "alice"}}, {NAME: []}, False),
    ("StringEquals: the empty string", {"StringEquals": {NAME: ""}}, {NAME: ""}, True),
    ("StringEquals: keys ignore case", {"StringEquals": {"AWS:UserName": "alice"}}, {NAME: "alice"}, True),
    ("StringEquals: tag keys ignore case", {"StringEquals": {TAG.upper(): "x"}}, {TAG: "x"}, True),
    ("StringEquals: numbers are text too", {"StringEquals": {TAG: 7}}, {TAG: "7"}, True),
    ("StringEquals: Booleans are text too", {"StringEquals": {TAG: True}}, {TAG: "true"}, True),
    ("StringEquals: of several values, any", {"StringEquals": {TAGS: "b"}}, {TAGS: ["a", "b"]}, True),
    ("StringNotEquals: another", {"StringNotEquals": {NAME: "alice"}}, {NAME: "bob"}, True),
    ("StringNotEquals: the same", {"StringNotEquals": {NAME: "alice"}}, {NAME: "alice"}, False),
    ("StringNotEquals: none of the values", {"StringNotEquals": {NAME: ["a", "b"]}}, {NAME: "c"}, True),
    ("StringNotEquals: one of the values", {"StringNotEquals": {NAME: ["a", "b"]}}, {NAME: "b"}, False),
    ("StringNotEquals: missing key", {"StringNotEquals": {NAME: "alice"}}, {}, True),
    ("StringNotEquals: several, one the same", {"StringNotEquals": {TAGS: "b"}}, {TAGS: ["a", "b"]}, False),
    ("IgnoreCase: other letters", {"StringEqualsIgnoreCase": {NAME: "ALICE"}}, {NAME: "alice"}, True),
    ("IgnoreCase: other letters in the request", {"StringEqualsIgnoreCase": {NAME: "alice"}}, {NAME: "AliCE"}, True),
    ("IgnoreCase: another", {"StringEqualsIgnoreCase": {NAME: "ALICE"}}, {NAME: "bob"}, False),
    ("IgnoreCase: missing key", {"StringEqualsIgnoreCase": {NAME: "ALICE"}}, {}, False),
    ("NotIgnoreCase: the same", {"StringNotEqualsIgnoreCase": {NAME: "ALICE"}}, {NAME: "alice"}, False),
    ("NotIgnoreCase: another", {"StringNotEqualsIgnoreCase": {NAME: "ALICE"}}, {NAME: "bob"}, True),
    ("NotIgnoreCase: missing key", {"StringNotEqualsIgnoreCase": {NAME: "ALICE"}}, {}, True),
    ("StringLike: *", {"StringLike": {"ecr:ImageTag": "dev-*"}}, {"ecr:ImageTag": "dev-7"}, True),
    ("StringLike: * needs the rest", {"StringLike": {"ecr:ImageTag": "dev-*"}}, {"ecr:ImageTag": "prod"}, False),
    ("StringLike: * alone", {"StringLike": {NAME: "*"}}, {NAME: "alice"}, True),
    ("StringLike: * alone needs the key", {"StringLike": {NAME: "*"}}, {}, False),
    ("StringLike: * spans everything", {"StringLike": {ARN: "arn:*:user/eu/*"}}, {ARN: USER}, True),
    ("StringLike: ?", {"StringLike": {NAME: "al?ce"}}, {NAME: "alice"}, True),
    ("StringLike: ? is not none", {"StringLike": {NAME: "alice?"}}, {NAME: "alice"}, False),
    ("StringLike: without wildcards", {"StringLike": {NAME: "alice"}}, {NAME: "alice"}, True),
    ("StringLike: case counts", {"StringLike": {NAME: "AL*"}}, {NAME: "alice"}, False),
    ("StringLike: runs in order", {"StringLike": {NAME: "a*c*e"}}, {NAME: "abcde"}, True),
    ("StringLike: runs out of order", {"StringLike": {NAME: "a*d*c*e"}}, {NAME: "abcde"}, False),
    ("StringLike: segments do not overlap", {"StringLike": {NAME: "ab*ba"}}, {NAME: "aba"}, False),
    ("StringLike: a new line is a character", {"StringLike": {NAME: "a*b"}}, {NAME: "a\nb"}, True),
    ("StringNotLike: matching", {"StringNotLike": {NAME: "al*"}}, {NAME: "alice"}, False),
    ("StringNotLike: not matching", {"StringNotLike": {NAME: "al*"}}, {NAME: "bob"}, True),
    ("StringNotLike: one of the values", {"StringNotLike": {NAME: ["x*", "b*"]}}, {NAME: "bob"}, False),
    ("StringNotLike: missing key", {"StringNotLike": {NAME: "al*"}}, {}, True),
    ("a variable in a value", {"StringEquals": {TAG: "${aws:username}"}}, {TAG: "alice", NAME: "alice"}, True),
    ("a variable of another value", {"StringEquals": {TAG: "${aws:username}"}}, {TAG: "x", NAME: "alice"}, False),
    ("a variable beside wildcards", {"StringLike": {TAG: "${jwt:sub}-*"}}, {TAG: "a-b", "jwt:sub": "a"}, True),
    ("a variable's value is literal", {"StringLike": {TAG: "${jwt:sub}"}}, {TAG: "ab", "jwt:sub": "*"}, False),
    ("a variable without a value", {"StringEquals": {TAG: "${aws:username}"}}, {TAG: "x"}, False),
    ("negated, a variable without a value", {"StringNotEquals": {TAG: "${jwt:sub}"}}, {TAG: "x"}, True),
    ("a variable with a default", {"StringEquals": {TAG: "${jwt:sub, 'x'}"}}, {TAG: "x"}, True),
    ("a variable ignoring case", {"StringEqualsIgnoreCase": {TAG: "${jwt:sub}"}}, {TAG: "X", "jwt:sub": "x"}, True),
    ("an asterisk by ${*}", {"StringLike": {TAG: "${*}"}}, {TAG: "x"}, False),
]

ORDERED: list[tuple[str, Block, Facts, bool]] = [
    ("NumericEquals: the same", {"NumericEquals": {SIZE: "10"}}, {SIZE: "10"}, True),
    ("NumericEquals: written otherwise", {"NumericEquals": {SIZE: 10}}, {SIZE: "10.0"}, True),
    ("NumericEquals: another", {"NumericEquals": {SIZE: "10"}}, {SIZE: "11"}, False),
    ("NumericEquals: no number", {"NumericEquals": {SIZE: "10"}}, {SIZE: "ten"}, False),
    ("NumericNotEquals: another", {"NumericNotEquals": {SIZE: "10"}}, {SIZE: "11"}, True),
    ("NumericNotEquals: missing key", {"NumericNotEquals": {SIZE: "10"}}, {}, True),
    ("NumericLessThan: less", {"NumericLessThan": {SIZE: "10"}}, {SIZE: "9"}, True),
    ("NumericLessThan: numbers, not text", {"NumericLessThan": {SIZE: "10"}}, {SIZE: "9.5"}, True),
    ("NumericLessThan: the same", {"NumericLessThan": {SIZE: "10"}}, {SIZE: "10"}, False),
    ("NumericLessThan: any of the values", {"NumericLessThan": {SIZE: ["5", "20"]}}, {SIZE: "10"}, True),
    ("NumericLessThan: missing key", {"NumericLessThan": {SIZE: "10"}}, {}, False),
    ("NumericLessThanEquals: the same", {"NumericLessThanEquals": {SIZE: "10"}}, {SIZE: "10"}, True),
    ("NumericGreaterThan: negative", {"NumericGreaterThan": {SIZE: "-5"}}, {SIZE: "-4"}, True),
    ("NumericGreaterThan: the same", {"NumericGreaterThan": {SIZE: "10"}}, {SIZE: "10"}, False),
    ("NumericGreaterThanEquals: the same", {"NumericGreaterThanEquals": {SIZE: 1.5}}, {SIZE: "1.50"}, True),
    ("DateEquals: the same instant", {"DateEquals": {TIME: "2024-06-01T14:00:00+02:00"}}, {TIME: NOON}, True),
    ("DateEquals: epoch seconds", {"DateEquals": {TIME: "1717243200"}}, {TIME: NOON}, True),
    ("DateNotEquals: another", {"DateNotEquals": {TIME: NOON}}, {TIME: "2024-06-01T12:00:01Z"}, True),
    ("DateNotEquals: missing key", {"DateNotEquals": {TIME: NOON}}, {}, True),
    ("DateLessThan: before", {"DateLessThan": {TIME: "2024-06-02"}}, {TIME: NOON}, True),
    ("DateLessThan: a day begins at midnight", {"DateLessThan": {TIME: "2024-06-01"}}, {TIME: NOON}, False),
    ("DateLessThan: a year begins in January", {"DateLessThan": {TIME: "2025"}}, {TIME: NOON}, True),
    ("DateLessThan: no date", {"DateLessThan": {TIME: "2025"}}, {TIME: "soon"}, False),
    ("DateLessThanEquals: the same", {"DateLessThanEquals": {TIME: NOON}}, {TIME: NOON}, True),
    ("DateGreaterThan: after", {"DateGreaterThan": {TIME: "2024-06"}}, {TIME: NOON}, True),
    ("DateGreaterThan: fractions", {"DateGreaterThan": {TIME: NOON}}, {TIME: "2024-06-01T12:00:00.001Z"}, True),
    ("DateGreaterThan: missing key", {"DateGreaterThan": {TIME: NOON}}, {}, False),
    ("DateGreaterThanEquals: the same", {"DateGreaterThanEquals": {TIME: "7"}}, {TIME: "7"}, True),
    ("Bool: true", {"Bool": {TLS: "true"}}, {TLS: "true"}, True),
    ("Bool: false", {"Bool": {TLS: "true"}}, {TLS: "false"}, False),
    ("Bool: quotation marks are optional", {"Bool": {TLS: False}}, {TLS: "false"}, True),
    ("Bool: missing key", {"Bool": {TLS: "false"}}, {}, False),
    ("BinaryEquals: the same bytes", {"BinaryEquals": {RAW: "QmluYXJ5"}}, {RAW: "QmluYXJ5"}, True),
    ("BinaryEquals: other bytes", {"BinaryEquals": {RAW: "QmluYXJ5"}}, {RAW: "AAAA"}, False),
    ("BinaryEquals: missing key", {"BinaryEquals": {RAW: "QmluYXJ5"}}, {}, False),
]  # fmt: skip

ADDRESSES: list[tuple[str, Block, Facts, bool]] = [
    ("IpAddress: in the range", {"IpAddress": {IP: "203.0.113.0/24"}}, {IP: "203.0.113.9"}, True),
    ("IpAddress: outside", {"IpAddress": {IP: "203.0.113.0/24"}}, {IP: "203.0.114.9"}, False),
    ("IpAddress: no prefix is /32", {"IpAddress": {IP: "203.0.113.9"}}, {IP: "203.0.113.9"}, True),
    ("IpAddress: no prefix, another", {"IpAddress": {IP: "203.0.113.9"}}, {IP: "203.0.113.8"}, False),
    ("IpAddress: any of the ranges", {"IpAddress": {IP: ["10.0.0.0/8", "2001:db8::/32"]}}, {IP: "2001:db8::1"}, True),
    ("IpAddress: IPv6 outside", {"IpAddress": {IP: "2001:DB8:1234:5678::/64"}}, {IP: "2001:db8:1234:5679::"}, False),
    ("IpAddress: IPv4 is not in an IPv6 range", {"IpAddress": {IP: "::/0"}}, {IP: "10.0.0.1"}, False),
    ("IpAddress: mapped IPv4 is IPv4", {"IpAddress": {IP: "10.0.0.0/8"}}, {IP: "::ffff:10.1.2.3"}, True),
    ("IpAddress: no address", {"IpAddress": {IP: "0.0.0.0/0"}}, {IP: "localhost"}, False),
    ("IpAddress: missing key", {"IpAddress": {IP: "0.0.0.0/0"}}, {}, False),
    ("NotIpAddress: outside", {"NotIpAddress": {IP: "10.0.0.0/8"}}, {IP: "11.0.0.1"}, True),
    ("NotIpAddress: in one of the ranges", {"NotIpAddress": {IP: ["10.0.0.0/8", "::1"]}}, {IP: "10.9.9.9"}, False),
    ("NotIpAddress: missing key", {"NotIpAddress": {IP: "10.0.0.0/8"}}, {}, True),
    ("ArnEquals: the same", {"ArnEquals": {ARN: USER}}, {ARN: USER}, True),
    ("ArnEquals: takes wildcards", {"ArnEquals": {ARN: "arn:aws:iam::*:user/*"}}, {ARN: USER}, True),
    ("ArnEquals: case counts", {"ArnEquals": {ARN: USER.upper()}}, {ARN: USER}, False),
    ("ArnLike: wildcards", {"ArnLike": {ARN: "arn:aws:iam::123456789012:user/eu/a?ice"}}, {ARN: USER}, True),
    ("ArnLike: * does not cross a colon", {"ArnLike": {ARN: "arn:*:user/eu/alice"}}, {ARN: USER}, False),
    ("ArnLike: AWS's example", {"ArnLike": {ARN: "arn:aws:x:*:111122223333:finance/*"}},
     {ARN: "arn:aws:x:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"}, False),
    ("StringLike: AWS's example", {"StringLike": {ARN: "arn:aws:x:*:111122223333:finance/*"}},
     {ARN: "arn:aws:x:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"}, True),
    ("ArnLike: a variable", {"ArnLike": {ARN: "arn:aws:iam::*:user/*/${jwt:a}"}}, {ARN: USER, "jwt:a": "alice"}, True),
    ("ArnLike: no ARN", {"ArnLike": {ARN: "arn:*:*:*:*:*"}}, {ARN: "alice"}, False),
    ("ArnLike: missing key", {"ArnLike": {ARN: "*"}}, {}, False),
    ("ArnNotEquals: another", {"ArnNotEquals": {ARN: USER}}, {ARN: USER + "2"}, True),
    ("ArnNotEquals: the same", {"ArnNotEquals": {ARN: USER}}, {ARN: USER}, False),
    ("ArnNotLike: matching", {"ArnNotLike": {ARN: "arn:aws:iam::*:user/*"}}, {ARN: USER}, False),
    ("ArnNotLike: missing key", {"ArnNotLike": {ARN: "arn:aws:iam::*:user/*"}}, {}, True),
]  # fmt: skip

PRESENCE: list[tuple[str, Block, Facts, bool]] = [
    ("Null true: missing", {"Null": {NAME: "true"}}, {}, True),
    ("Null true: present", {"Null": {NAME: "true"}}, {NAME: "alice"}, False),
    ("Null false: present", {"Null": {NAME: "false"}}, {NAME: "alice"}, True),
    ("Null false: missing", {"Null": {NAME: False}}, {}, False),
    ("Null false: no values", {"Null": {NAME: "false"}}, {NAME: []}, False),
    ("IfExists: missing", {"StringEqualsIfExists": {NAME: "alice"}}, {}, True),
    ("IfExists: present and the same", {"StringEqualsIfExists": {NAME: "alice"}}, {NAME: "alice"}, True),
    ("IfExists: present and another", {"StringEqualsIfExists": {NAME: "alice"}}, {NAME: "bob"}, False),
    ("IfExists: negated, missing", {"StringNotEqualsIfExists": {NAME: "alice"}}, {}, True),
    ("IfExists: negated, the same", {"StringNotEqualsIfExists": {NAME: "alice"}}, {NAME: "alice"}, False),
    ("IfExists: of an address", {"IpAddressIfExists": {IP: "10.0.0.0/8"}}, {}, True),
    ("IfExists: of a number", {"NumericLessThanIfExists": {SIZE: "5"}}, {SIZE: "6"}, False),
    ("IfExists: of a Boolean", {"BoolIfExists": {TLS: "true"}}, {}, True),
    ("ForAllValues: all match", {"ForAllValues:StringEquals": {TAGS: ["a", "b"]}}, {TAGS: ["a", "b"]}, True),
    ("ForAllValues: a subset", {"ForAllValues:StringEquals": {TAGS: ["a", "b"]}}, {TAGS: ["b"]}, True),
    ("ForAllValues: one does not", {"ForAllValues:StringEquals": {TAGS: ["a", "b"]}}, {TAGS: ["a", "c"]}, False),
    ("ForAllValues: missing", {"ForAllValues:StringEquals": {TAGS: ["a"]}}, {}, True),
    ("ForAllValues: no values", {"ForAllValues:StringEquals": {TAGS: ["a"]}}, {TAGS: []}, True),
    ("ForAllValues: an empty string is no value", {"ForAllValues:StringEquals": {TAGS: ["a"]}}, {TAGS: [""]}, True),
    ("ForAllValues: by wildcard", {"ForAllValues:StringLike": {TAGS: "x-*"}}, {TAGS: ["x-1", "x-2"]}, True),
    ("ForAllValues: negated, none matches", {"ForAllValues:StringNotEquals": {TAGS: ["a"]}}, {TAGS: ["b", "c"]}, True),
    ("ForAllValues: negated, one matches", {"ForAllValues:StringNotEquals": {TAGS: ["a"]}}, {TAGS: ["a", "c"]}, False),
    ("ForAnyValue: one matches", {"ForAnyValue:StringEquals": {TAGS: ["a", "b"]}}, {TAGS: ["c", "b"]}, True),
    ("ForAnyValue: none matches", {"ForAnyValue:StringEquals": {TAGS: ["a", "b"]}}, {TAGS: ["c", "d"]}, False),
    ("ForAnyValue: missing", {"ForAnyValue:StringEquals": {TAGS: ["a"]}}, {}, False),
    ("ForAnyValue: no values", {"ForAnyValue:StringLike": {TAGS: ["*"]}}, {TAGS: []}, False),
    ("ForAnyValue: an empty string is no value", {"ForAnyValue:StringLike": {TAGS: ["*"]}}, {TAGS: [""]}, False),
    ("ForAnyValue: negated, one differs", {"ForAnyValue:StringNotEquals": {TAGS: ["a"]}}, {TAGS: ["a", "c"]}, True),
    ("ForAnyValue: negated, none differs", {"ForAnyValue:StringNotEquals": {TAGS: ["a"]}}, {TAGS: ["a"]}, False),
    ("ForAnyValue: negated, missing", {"ForAnyValue:StringNotEquals": {TAGS: ["a"]}}, {}, False),
    ("ForAnyValue: IfExists, missing", {"ForAnyValue:StringEqualsIfExists": {TAGS: ["a"]}}, {}, True),
    ("ForAllValues and Null: missing", {"ForAllValues:StringEquals": {TAGS: "a"}, "Null": {TAGS: "false"}}, {}, False),
    ("operators: all hold", {"StringEquals": {NAME: "alice"}, "Bool": {"jwt:x": "true"}},
     {NAME: "alice", "jwt:x": "true"}, True),
    ("operators: one does not", {"StringEquals": {NAME: "alice"}, "Bool": {"jwt:x": "true"}},
     {NAME: "alice", "jwt:x": "false"}, False),
    ("keys: all hold", {"StringEquals": {NAME: "alice", TAG: "a"}}, {NAME: "alice", TAG: "a"}, True),
    ("keys: one does not", {"StringEquals": {NAME: "alice", TAG: "a"}}, {NAME: "alice", TAG: "b"}, False),
    ("keys: one is missing", {"StringEquals": {NAME: "alice", TAG: "a"}}, {NAME: "alice"}, False),
    ("no operator at all", {}, {}, True),
    ("no values at all", {"StringEquals": {NAME: []}}, {NAME: "alice"}, False),
    ("negated, no values at all", {"StringNotEquals": {NAME: []}}, {NAME: "alice"}, True),
]  # fmt: skip

CASES = [*STRINGS, *ORDERED, *ADDRESSES, *PRESENCE]


@pytest.mark.parametrize(("rule", "condition", "context", "holds"), CASES, ids=[row[0] for row in CASES])
def test_conditions(rule: str, condition: Block, context: Facts, *, holds: bool) -> None:
    """IAM User Guide, "Condition operators" and "Conditions with multiple keys or values": for Allow and for Deny."""
    asked = request(context=context)

    assert decide(asked, identity=[allow(Condition=condition)]).outcome == (ALLOWED if holds else NOTHING)
    assert decide(asked, identity=[allow(), deny(Condition=condition)]).outcome == (DENIED if holds else ALLOWED)
