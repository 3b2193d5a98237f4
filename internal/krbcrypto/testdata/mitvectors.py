#!/usr/bin/env python3
"""Writes mit.jsonl: what MIT's crypto library computes for every enctype we implement.

Run it beside an installed libk5crypto.so.3 and libkrb5.so.3 (Debian: libkrb5-3):

    python3 mitvectors.py > mit.jsonl

Plaintexts are not stored: byte i of a message of n bytes is (7*i + n) mod 256.
"""
import ctypes as C
import hashlib
import json

k5 = C.CDLL("libk5crypto.so.3")
krb5 = C.CDLL("libkrb5.so.3")

ETYPES = [16, 17, 18, 19, 20, 23, 24, 25, 26]
USAGES = [0, 1, 2, 3, 7, 8, 9, 17, 23, 56, 127, 128, 513, 1026, 0x7FFFFFFF]
SUMS = {16: [12], 17: [15], 18: [16], 19: [19], 20: [20], 23: [-138, -137],
        24: [-138, -137], 25: [17], 26: [18]}


class Data(C.Structure):
    _fields_ = [("magic", C.c_int32), ("length", C.c_uint), ("data", C.c_void_p)]


class Keyblock(C.Structure):
    _fields_ = [("magic", C.c_int32), ("enctype", C.c_int32), ("length", C.c_uint),
                ("contents", C.c_void_p)]


class EncData(C.Structure):
    _fields_ = [("magic", C.c_int32), ("enctype", C.c_int32), ("kvno", C.c_int32),
                ("ciphertext", Data)]


class Checksum(C.Structure):
    _fields_ = [("magic", C.c_int32), ("type", C.c_int32), ("length", C.c_uint),
                ("contents", C.c_void_p)]


def data(b):
    buf = C.create_string_buffer(b, len(b) or 1)
    d = Data(0, len(b), C.cast(buf, C.c_void_p))
    d.keep = buf
    return d


def keyblock(etype, b):
    buf = C.create_string_buffer(b, len(b))
    k = Keyblock(0, etype, len(b), C.cast(buf, C.c_void_p))
    k.keep = buf
    return k


def check(rc, what):
    if rc:
        raise SystemExit(f"{what}: error {rc}")


def take(p, n):
    return C.string_at(p, n).hex()


def message(n):
    return bytes((7 * i + n) % 256 for i in range(n))


def seedbytes(etype):
    kb, kl = C.c_size_t(), C.c_size_t()
    check(k5.krb5_c_keylengths(None, etype, C.byref(kb), C.byref(kl)), "keylengths")
    return kb.value, kl.value


def seed(label, n):
    return hashlib.shake_256(label.encode()).digest(n)


def random_to_key(etype, s):
    n = seedbytes(etype)[1]
    k = keyblock(etype, bytes(n))
    check(k5.krb5_c_random_to_key(None, etype, C.byref(data(s)), C.byref(k)), "random_to_key")
    return C.string_at(k.contents, n)


def encrypt(k, usage, msg):
    n = C.c_size_t()
    check(k5.krb5_c_encrypt_length(None, k.enctype, C.c_size_t(len(msg)), C.byref(n)), "length")
    out = EncData()
    out.ciphertext = data(bytes(n.value))
    buf = C.create_string_buffer(n.value)
    out.ciphertext.data = C.cast(buf, C.c_void_p)
    check(k5.krb5_c_encrypt(None, C.byref(k), usage, None, C.byref(data(msg)), C.byref(out)), "encrypt")
    return take(out.ciphertext.data, out.ciphertext.length)


def checksum(k, typ, usage, msg):
    c = Checksum()
    kp = C.byref(k) if k else None
    check(k5.krb5_c_make_checksum(None, typ, kp, usage, C.byref(data(msg)), C.byref(c)), f"sum {typ}")
    return take(c.contents, c.length)


def prf(k, msg):
    n = C.c_size_t()
    check(k5.krb5_c_prf_length(None, k.enctype, C.byref(n)), "prf_length")
    out = data(bytes(n.value))
    check(k5.krb5_c_prf(None, C.byref(k), C.byref(data(msg)), C.byref(out)), "prf")
    return take(out.data, n.value)


def prfplus(k, msg, n):
    out = data(bytes(n))
    check(k5.krb5_c_prfplus(None, C.byref(k), C.byref(data(msg)), C.byref(out)), "prfplus")
    return take(out.data, n)


def cf2(k1, p1, k2, p2):
    out = C.POINTER(Keyblock)()
    check(k5.krb5_c_fx_cf2_simple(None, C.byref(k1), p1.encode(), C.byref(k2), p2.encode(),
                                  C.byref(out)), "cf2")
    return take(out.contents.contents, out.contents.length)


def s2k(etype, password, salt, params):
    k = Keyblock()
    rc = k5.krb5_c_string_to_key_with_params(None, etype, C.byref(data(password)), C.byref(data(salt)),
                                             C.byref(data(params)) if params else None, C.byref(k))
    return None if rc else take(k.contents, k.length)


def emit(**kw):
    print(json.dumps(kw, separators=(",", ":")))


def main():
    keys = {}
    for e in ETYPES:
        s = seed(f"key {e}", seedbytes(e)[0])
        raw = random_to_key(e, s)
        keys[e] = keyblock(e, raw)
        emit(op="random-to-key", etype=e, seed=s.hex(), key=raw.hex())
    for e in ETYPES:
        k = keys[e]
        for n in list(range(0, 50)) + [63, 64, 65, 200, 1000]:
            u = USAGES[n % len(USAGES)]
            emit(op="encrypt", etype=e, usage=u, n=n, out=encrypt(k, u, message(n)))
        for i, u in enumerate(USAGES):
            emit(op="encrypt", etype=e, usage=u, n=16 + i, out=encrypt(k, u, message(16 + i)))
            for typ in SUMS[e]:
                emit(op="checksum", etype=e, type=typ, usage=u, n=5 * i, out=checksum(k, typ, u, message(5 * i)))
        emit(op="checksum", etype=e, type=-138, usage=17, n=33, out=checksum(k, -138, 17, message(33)))
        for n in [0, 1, 20, 64, 100]:
            emit(op="prf", etype=e, n=n, out=prf(k, message(n)))
        for n in [1, 16, 33, 100]:
            emit(op="prf+", etype=e, n=20, size=n, out=prfplus(k, message(20), n))
        for e2 in ETYPES:
            emit(op="cf2", etype=e, etype2=e2, out=cf2(k, "one", keys[e2], "two"))
        for pw, salt, params in [
            ("password", "EXAMPLE.COMalice", ""), ("", "", ""), ("p\u00e4ssw\u00f6rd \u20ac", "R.TESTu", ""),
            ("\U0001d11e clef", "R.TESTu", ""), ("x" * 80, "s" * 70, ""),
            ("password", "salt", "00001000"), ("password", "salt", "00008000"), ("password", "salt", "00008001"),
            ("password", "salt", "00000fff"), ("password", "salt", "00007fff"), ("password", "salt", "00000000"),
            ("password", "salt", "0000"), ("password", "salt", "0000100000"),
        ]:
            emit(op="string-to-key", etype=e, password=pw, salt=salt, params=params,
                 out=s2k(e, pw.encode(), salt.encode(), bytes.fromhex(params)))
    for typ in [7, 9, 14]:
        for n in [0, 1, 64, 100]:
            emit(op="checksum", etype=0, type=typ, usage=0, n=n, out=checksum(None, typ, 0, message(n)))


main()
