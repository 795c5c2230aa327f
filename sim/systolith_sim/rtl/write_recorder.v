// Records what the accelerator writes: words of buffers, sums, bytes of external memory. Only
// simulations built with `writes` contain it.
//
// Plusarg: +writes=FILE; without it nothing is written. Each line is an event, numbers are
// hexadecimal:
//
//   S                          a program starts
//   A|W|P|T addr en data       a group of a word of the activations, weights, parameters or table,
//                              and a bit for each group that it goes to
//   C column bank addr data    a sum of a column
//   B addr beats               a burst of writes is offered
//   D strobes data             a beat is written
//
// It samples at falling edges, when all signals of the cycle have settled.

`timescale 1ns / 1ps

module write_recorder #(
    parameter ACT_BITS = 8,
    parameter WEIGHT_BITS = 8,
    parameter PARAM_BITS = 8,
    parameter COLUMNS = 1,
    parameter ADDR_BITS = 1,
    parameter SUM_BITS = 32,
    parameter BUS_BYTES = 4
) (
    input wire clk,
    input wire running,
    input wire [31:0] act_addr,
    input wire [63:0] act_en,
    input wire [ACT_BITS-1:0] act_data,
    input wire [31:0] weight_addr,
    input wire [63:0] weight_en,
    input wire [WEIGHT_BITS-1:0] weight_data,
    input wire [31:0] param_addr,
    input wire [63:0] param_en,
    input wire [PARAM_BITS-1:0] param_data,
    input wire [31:0] table_addr,
    input wire [63:0] table_en,
    input wire [7:0] table_data,
    input wire [COLUMNS*2-1:0] sum_en,
    input wire [COLUMNS*ADDR_BITS-1:0] sum_addr,
    input wire [COLUMNS*SUM_BITS-1:0] sum_data,
    input wire burst,
    input wire [63:0] burst_addr,
    input wire [7:0] burst_len,
    input wire beat,
    input wire [BUS_BYTES-1:0] beat_strobes,
    input wire [BUS_BYTES*8-1:0] beat_data
);
  reg [8*1024-1:0] name;
  integer file, column;
  reg runs;

  initial begin
    file = 0;
    runs = 0;
    if ($value$plusargs("writes=%s", name)) file = $fopen(name, "w");
  end

  always @(negedge clk) begin
    if (file != 0 && running && !runs) $fwrite(file, "S\n");
    if (file != 0 && !running && runs) $fflush(file);
    runs = running;
    if (file != 0 && running) begin
      if (act_en != 0) $fwrite(file, "A %h %h %h\n", act_addr, act_en, act_data);
      if (weight_en != 0) $fwrite(file, "W %h %h %h\n", weight_addr, weight_en, weight_data);
      if (param_en != 0) $fwrite(file, "P %h %h %h\n", param_addr, param_en, param_data);
      if (table_en != 0) $fwrite(file, "T %h %h %h\n", table_addr, table_en, table_data);
      for (column = 0; column < COLUMNS; column = column + 1)
        if (sum_en[2*column+:2] != 0)
          $fwrite(file, "C %h %h %h %h\n", column, sum_en[2*column+1],
                  sum_addr[ADDR_BITS*column+:ADDR_BITS], sum_data[SUM_BITS*column+:SUM_BITS]);
      if (burst) $fwrite(file, "B %h %h\n", burst_addr, burst_len + 9'd1);
      if (beat) $fwrite(file, "D %h %h\n", beat_strobes, beat_data);
    end
  end
endmodule
