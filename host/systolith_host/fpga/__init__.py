"""From a configuration to a placed and routed FPGA, with the open tools."""
