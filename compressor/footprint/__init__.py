"""Joules and grams of CO2e that saved bytes avoid, minus those that saving them used: ranges with sources."""

from compressor.footprint.accrued import Accrued as Accrued
from compressor.footprint.accrued import AccruedUsage as AccruedUsage
from compressor.footprint.basis import Basis as Basis
from compressor.footprint.basis import amounts as amounts
from compressor.footprint.coefficients import Bound as Bound
from compressor.footprint.coefficients import Coefficient as Coefficient
from compressor.footprint.coefficients import Model as Model
from compressor.footprint.coefficients import load as load
from compressor.footprint.model import ACCESSES as ACCESSES
from compressor.footprint.model import STORAGE_CLASSES as STORAGE_CLASSES
from compressor.footprint.model import Drivers as Drivers
from compressor.footprint.model import Estimate as Estimate
from compressor.footprint.model import Side as Side
from compressor.footprint.model import Term as Term
from compressor.footprint.model import estimate as estimate
from compressor.footprint.model import stored_byte_seconds as stored_byte_seconds
from compressor.footprint.place import Place as Place
from compressor.footprint.place import Profile as Profile
from compressor.footprint.place import place as place
from compressor.footprint.ranges import Range as Range
from compressor.footprint.rapl import Rapl as Rapl
