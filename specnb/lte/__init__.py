"""LTE synthesis of the spectra behind the emulator (the extra ``grid``)."""

from specnb import extras

extras.need("pandas", extra="grid", purpose="LTE synthesis")
