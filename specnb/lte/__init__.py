"""LTE synthesis of the spectra behind the emulator (the extra ``grid``)."""
