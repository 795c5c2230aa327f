# The rest is the same for all boards; the variables above are the board's and the core's.
#
#     vivado -mode batch -source THIS_FILE
#
# creates the project build/BOARD next to this file, with BOARD.bit, BOARD.hwh and two reports.
# With -tclargs bd it stops when the block design is valid.

set here [file dirname [file normalize [info script]]]
set work [file join $here build $board]
set stop_at [expr {[info exists argv] && [llength $argv] > 0 ? [lindex $argv 0] : "bitstream"}]

proc fail {text} {
    error "systolith: $text"
}

# Project

set candidates [lsort -dictionary [get_board_parts -quiet "$board_part:*"]]
if {[llength $candidates] == 0} {
    fail "no board files of $board_part are installed; get them in Vivado's store of boards"
}
create_project -force $board $work -part $part
set_property board_part [lindex $candidates end] [current_project]
set_property target_language Verilog [current_project]
set_property ip_repo_paths [file normalize [file join $here .. $core_folder]] [current_project]
update_ip_catalog
if {[llength [get_ipdefs -quiet $core_vlnv]] == 0} {
    fail "$core_vlnv is not in the IP catalogue; component.xml must be in ../$core_folder"
}
add_files -fileset constrs_1 -norecurse [file join $here $board.xdc]

# Cells

create_bd_design systolith_bd
set ps [create_bd_cell -type ip -vlnv $ps_ip ps]
apply_bd_automation -rule $ps_rule -config $ps_automation $ps
set settings {}
foreach {name value} $ps_settings {
    lappend settings CONFIG.$name $value
}
set_property -dict $settings $ps
create_bd_cell -type ip -vlnv $core_vlnv core
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset resets
foreach name {control memory} {
    set connect [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect $name]
    set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 1 CONFIG.NUM_CLKS 1] $connect
}

# Clock and reset: one clock for all

proc join_pins {source sinks} {
    foreach sink $sinks {
        connect_bd_net [get_bd_pins $source] [get_bd_pins $sink]
    }
}

join_pins ps/$ps_clock [list \
    core/clk control/aclk memory/aclk resets/slowest_sync_clk ps/$ps_control_clock \
    ps/$ps_memory_clock]
join_pins ps/$ps_reset {resets/ext_reset_in}
join_pins resets/peripheral_reset {core/rst}
join_pins resets/interconnect_aresetn {control/aresetn memory/aresetn}
join_pins core/irq [list ps/$ps_interrupt]

# Buses

proc join_buses {master slave} {
    connect_bd_intf_net [get_bd_intf_pins $master] [get_bd_intf_pins $slave]
}

join_buses ps/$ps_control control/S00_AXI
join_buses control/M00_AXI core/s_axil
join_buses core/m_axi memory/S00_AXI
join_buses memory/M00_AXI ps/$ps_memory

# Addresses

assign_bd_address -offset $register_base -range $register_range \
    -target_address_space [get_bd_addr_spaces ps/Data] [get_bd_addr_segs core/$register_segment]
set core_space [get_bd_addr_spaces core/m_axi]
assign_bd_address -offset 0 -range $memory_range \
    -target_address_space $core_space [get_bd_addr_segs ps/$memory_segment]
foreach segment $other_segments {
    set found [get_bd_addr_segs -quiet ps/$segment]
    if {[llength $found] > 0} {
        exclude_bd_addr_seg -target_address_space $core_space $found
    }
}

validate_bd_design
save_bd_design
if {$stop_at eq "bd"} {
    return
}

# Bitstream

set design [get_files systolith_bd.bd]
generate_target all $design
add_files -norecurse [make_wrapper -files $design -top]
set_property top systolith_bd_wrapper [current_fileset]
update_compile_order -fileset sources_1
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
set run [get_runs impl_1]
if {[get_property PROGRESS $run] ne "100%"} {
    fail "implementation ended early: [get_property STATUS $run]"
}
open_run impl_1
report_utilization -hierarchical -file [file join $here $board.utilisation.txt]
report_timing_summary -file [file join $here $board.timing.txt]
set slack [get_property STATS.WNS $run]
if {$slack < 0} {
    fail "the clock is missed by [expr {-$slack}] ns: see $board.timing.txt"
}
file copy -force [file join [get_property DIRECTORY $run] systolith_bd_wrapper.bit] \
    [file join $here $board.bit]
# Vivado keeps generated files next to the sources' folder; before 2020.2 inside it.
set handoffs {}
foreach folder {gen srcs} {
    lappend handoffs {*}[glob -nocomplain \
        [file join $work $board.$folder sources_1 bd systolith_bd hw_handoff *.hwh]]
}
if {[llength $handoffs] == 0} {
    fail "Vivado wrote no hardware description (.hwh) below $work"
}
file copy -force [lindex $handoffs 0] [file join $here $board.hwh]
puts "systolith: $board.bit and $board.hwh are in $here"
