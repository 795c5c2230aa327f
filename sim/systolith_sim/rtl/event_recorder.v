// Records when each instruction passed its gate, began and ended, and periodically samples what the
// engines have done so far. Only simulations built with events contain it.
//
// Plusargs: +events=FILE; without it nothing is written. +events_interval=CYCLES between two
// samples; 0 for none. Each line is an event. Cycle 1 is the first in which the program runs.
//
//   L0|C0|S0 cycle   a LOAD, CONV or STORE passed its gate; each kind comes in program order
//   L1|C1|S1 cycle   it began: took its first word, or issued its first pixel or sum
//   L2|C2|S2 cycle   it ended, with its last word, pixel or sum
//   S3 cycle         the memory acknowledged its last write
//   T cycle reads writes L.idle .. L.wait_store C.idle .. S.wait_memory
//                    bus beats that the memory has served, and cycles of each engine in each state
//   E cycle          the program ended
//
// It samples at falling edges, when all signals of the cycle have settled.

`timescale 1ns / 1ps

module event_recorder (
    input wire clk,
    input wire running,
    input wire [2:0] load_state,
    input wire [2:0] compute_state,
    input wire [2:0] store_state,
    input wire load_passes,
    input wire load_waits,
    input wire load_done,
    input wire conv_passes,
    input wire store_passes,
    input wire store_drained,
    input wire store_acknowledged,
    input wire [47:0] read_beats,
    input wire [47:0] write_beats
);
  localparam BUSY = 1;
  localparam STATES = 5;

  reg [8*1024-1:0] name;
  integer file, interval, state;
  reg [47:0] now, reads_before, writes_before, conv_busy, store_busy;
  reg [47:0] counts[0:3*STATES-1];
  reg runs, load_active, load_taken, conv_known, conv_fresh, store_fresh;

  initial begin
    file = 0;
    interval = 0;
    runs = 0;
    reads_before = 0;
    writes_before = 0;
    if ($value$plusargs("events=%s", name)) file = $fopen(name, "w");
    if ($value$plusargs("events_interval=%d", interval)) begin end
  end

  always @(negedge clk) begin
    if (file != 0 && running) begin
      if (!runs) begin
        runs = 1;
        now = 0;
        load_active = 0;
        conv_known = 0;
        conv_fresh = 0;
        store_fresh = 0;
        for (state = 0; state < 3 * STATES; state = state + 1) counts[state] = 0;
      end
      now = now + 1;

      // A LOAD reports its end one cycle later, in the cycle in which the next one begins.
      if (load_done) $fwrite(file, "L2 %0d\n", now - 1);
      load_taken = load_waits && (!load_active || load_done);
      if (load_taken) $fwrite(file, "L1 %0d\n", now);
      load_active = load_taken || (load_active && !load_done);
      if (load_passes) $fwrite(file, "L0 %0d\n", now);

      if (compute_state == BUSY) begin
        if (conv_fresh) $fwrite(file, "C1 %0d\n", now);
        conv_fresh = 0;
        conv_busy = now;
      end
      if (conv_passes) begin
        if (conv_known) $fwrite(file, "C2 %0d\n", conv_busy);
        $fwrite(file, "C0 %0d\n", now);
        conv_known = 1;
        conv_fresh = 1;
      end

      if (store_drained) $fwrite(file, "S2 %0d\n", store_busy);
      if (store_state == BUSY) begin
        if (store_fresh) $fwrite(file, "S1 %0d\n", now);
        store_fresh = 0;
        store_busy = now;
      end
      if (store_passes) begin
        $fwrite(file, "S0 %0d\n", now);
        store_fresh = 1;
      end
      if (store_acknowledged) $fwrite(file, "S3 %0d\n", now);

      counts[load_state] = counts[load_state] + 1;
      counts[STATES+compute_state] = counts[STATES+compute_state] + 1;
      counts[2*STATES+store_state] = counts[2*STATES+store_state] + 1;
      if (interval != 0 && now % interval == 0) begin
        $fwrite(file, "T %0d %0d %0d", now, read_beats - reads_before, write_beats - writes_before);
        for (state = 0; state < 3 * STATES; state = state + 1)
          $fwrite(file, " %0d", counts[state]);
        $fwrite(file, "\n");
      end
    end else if (runs) begin
      if (conv_known) $fwrite(file, "C2 %0d\n", conv_busy);
      $fwrite(file, "E %0d\n", now);
      $fflush(file);
      runs = 0;
    end
    if (!runs) begin
      reads_before = read_beats;
      writes_before = write_beats;
    end
  end
endmodule
