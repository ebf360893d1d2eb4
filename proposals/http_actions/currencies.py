"""Currencies and how many digits their amounts have (ISO 4217). Pure."""

from decimal import Decimal

NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
TWO = """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD
HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT
MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR
SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU
UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"""
THREE = "BHD IQD JOD KWD LYD OMR TND"
FOUR = "CLF UYW"
DIGITS = {
    currency: digits
    for digits, those in ((0, NONE), (2, TWO), (3, THREE), (4, FOUR))
    for currency in those.split()
}


def digits_of(currency: str) -> int:
    """How many digits after the point an amount has. Raises LookupError for no known currency."""
    return DIGITS[currency]


def in_minor_units(amount: Decimal, digits: int) -> int:
    """An amount in the smallest unit. Raises ValueError where that is no whole number."""
    scaled = amount.scaleb(digits)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"At most {digits} digits after the point.")
    return int(scaled)


def from_minor_units(units: int, digits: int) -> Decimal:
    return Decimal(units).scaleb(-digits)
