// The contract of `KeyValueStore` as tests, run over each store that promises it (ContractStores.swift
// names them), and the tests of what only this module sees.
