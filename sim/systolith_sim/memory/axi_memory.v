// An AXI4 slave memory with the timing of a DRAM: latency, a bandwidth shared by reads and writes,
// a limit on outstanding transactions, random stalls, errors on demand, and protocol checks.
//
// Timing, in cycles; handshakes happen at rising edges:
//   - The first beat of a read can be taken `latency` cycles after its address was taken. The
//     others follow at one beat per cycle, and queued reads follow each other without a gap.
//   - The data beats of writes wait in a queue of WRITE_BEATS. A beat moves on to the memory at
//     least one cycle after it was taken. The response can be taken `latency` cycles after the last
//     beat has moved.
//   - Each beat read or written costs DATA_BYTES of a budget that grows by `rate` / RATE_UNIT bytes
//     per cycle. Reads and writes take turns when the budget does not suffice for both.
//   - With a `turnaround`, data moves in one direction at a time, and no beat moves for that many
//     cycles when the direction changes. While the turnaround alone holds back a beat, the budget
//     does not grow. The direction changes at the end of a burst, or when the current direction has
//     nothing to move. A write burst starts when all of its data, or WRITE_BEATS of it, has
//     arrived.
// Latencies below 2 count as 2. Responses come in the order of the addresses. Bursts are INCR and
// as wide as the bus.
//
// The file +image=PATH is the storage. Verilator maps it into memory (see memory_image.cpp), so the
// file is always up to date. Other simulators copy it: a rising sync[0] writes the bytes to
// +image_out=PATH, and a rising sync[1] reads +image again.
//
// While `breach` is not 0, the memory breaks the protocol after `breach_at` cycles:
//   1, 2  sends a beat with identifier 0, or 1, that no read has requested (once)
//   3     sends a response that belongs to no write (once)
//   4     marks a beat as the last of its burst too early (once)
//   5     never marks the last beat of a burst
//   6     swaps the identifier of a beat (once)
//   7     drops a beat other than the last of its burst (once)
//
// Plusargs: memory_size (bytes), memory_latency, memory_rate (in 1/RATE_UNIT bytes per cycle),
// memory_turnaround, memory_reads and memory_writes (outstanding transactions),
// memory_stall_{ar,r,aw,w,b} (in n of 256 cycles), memory_seed, memory_error_base and
// memory_error_end (the range that answers SLVERR), memory_dead (never answers). Addresses and
// sizes are decimal.

`timescale 1ns / 1ps

module axi_memory #(
    parameter DATA_BYTES = 8,
    parameter ADDR_WIDTH = 32,
    parameter ID_WIDTH = 1,
    // systolith_hw.spec.memory gives these three their values.
    parameter DEPTH = 1,  // limit on outstanding reads, and on outstanding writes
    parameter WRITE_BEATS = 1,
    parameter RATE_UNIT = 1,
    parameter MEMORY_BYTES = 65536  // not under Verilator: size of the copy
) (
    input wire clk,
    input wire rst,

    input wire [ID_WIDTH-1:0] awid,
    input wire [ADDR_WIDTH-1:0] awaddr,
    input wire [7:0] awlen,
    input wire [2:0] awsize,
    input wire [1:0] awburst,
    input wire awvalid,
    output reg awready,
    input wire [8*DATA_BYTES-1:0] wdata,
    input wire [DATA_BYTES-1:0] wstrb,
    input wire wlast,
    input wire wvalid,
    output reg wready,
    output reg [ID_WIDTH-1:0] bid,
    output reg [1:0] bresp,
    output reg bvalid,
    input wire bready,
    input wire [ID_WIDTH-1:0] arid,
    input wire [ADDR_WIDTH-1:0] araddr,
    input wire [7:0] arlen,
    input wire [2:0] arsize,
    input wire [1:0] arburst,
    input wire arvalid,
    output reg arready,
    output reg [ID_WIDTH-1:0] rid,
    output reg [8*DATA_BYTES-1:0] rdata,
    output reg [1:0] rresp,
    output reg rlast,
    output reg rvalid,
    input wire rready,

    input wire [1:0] sync,  // see above
    input wire [2:0] breach,
    input wire [15:0] breach_at,
    output reg [31:0] violations,  // of the protocol by the master, since the start
    output reg [47:0] read_beats,
    output reg [47:0] write_beats
);

  localparam [31:0] COST = RATE_UNIT * DATA_BYTES;
  localparam [ADDR_WIDTH-1:0] BEAT_MASK = DATA_BYTES - 1;
  localparam [1:0] OKAY = 2'd0, SLVERR = 2'd2, DECERR = 2'd3;
  localparam [2:0] SIZE = DATA_BYTES == 4 ? 2 : DATA_BYTES == 8 ? 3 : DATA_BYTES == 16 ? 4
      : DATA_BYTES == 32 ? 5 : 6;

  // Settings ------------------------------------------------------------------------------------
  reg [63:0] size, error_base, error_end;
  reg [31:0] latency, rate, turnaround, reads, writes, seed;
  reg [31:0] stall_ar, stall_r, stall_aw, stall_w, stall_b;
  reg dead, stalling;
  reg alive;  // after the first reset; inputs are unknown before it

`ifdef VERILATOR
  import "DPI-C" function void systolith_memory_open(input string path, output longint size);
  import "DPI-C" function void systolith_memory_read(
    input longint address, input int bytes, output bit [8*DATA_BYTES-1:0] data);
  import "DPI-C" function void systolith_memory_write(
    input longint address, input int bytes, input bit [8*DATA_BYTES-1:0] data,
    input bit [DATA_BYTES-1:0] strobe);
  string image;
`else
  reg [7:0] bytes[0:MEMORY_BYTES-1];
  reg [8*1024-1:0] image, image_out;
  integer file, index;

  always @(posedge sync[0]) begin
    file = $fopen(image_out, "wb");
    for (index = 0; index + 3 < size; index = index + 4)
      $fwrite(file, "%u", {bytes[index+3], bytes[index+2], bytes[index+1], bytes[index]});
    $fclose(file);
  end

  always @(posedge sync[1]) begin
    file = $fopen(image, "rb");
    index = $fread(bytes, file);
    $fclose(file);
  end
`endif

  initial begin
    latency = 2;
    rate = COST;
    turnaround = 0;
    reads = DEPTH;
    writes = DEPTH;
    stall_ar = 0;
    stall_r = 0;
    stall_aw = 0;
    stall_w = 0;
    stall_b = 0;
    seed = 1;
    error_base = 0;
    error_end = 0;
    size = 0;
    if ($value$plusargs("memory_latency=%d", latency) && latency < 2) latency = 2;
    if ($value$plusargs("memory_rate=%d", rate)) begin end
    if ($value$plusargs("memory_turnaround=%d", turnaround)) begin end
    if ($value$plusargs("memory_reads=%d", reads) && reads > DEPTH) reads = DEPTH;
    if ($value$plusargs("memory_writes=%d", writes) && writes > DEPTH) writes = DEPTH;
    if ($value$plusargs("memory_stall_ar=%d", stall_ar)) begin end
    if ($value$plusargs("memory_stall_r=%d", stall_r)) begin end
    if ($value$plusargs("memory_stall_aw=%d", stall_aw)) begin end
    if ($value$plusargs("memory_stall_w=%d", stall_w)) begin end
    if ($value$plusargs("memory_stall_b=%d", stall_b)) begin end
    if ($value$plusargs("memory_seed=%d", seed)) begin end
    if ($value$plusargs("memory_error_base=%d", error_base)) begin end
    if ($value$plusargs("memory_error_end=%d", error_end)) begin end
    dead = $test$plusargs("memory_dead") != 0;
    stalling = |{stall_ar, stall_r, stall_aw, stall_w, stall_b};
    alive = 0;
    violations = 0;
    read_beats = 0;
    write_beats = 0;
    if ($value$plusargs("image=%s", image)) begin
`ifdef VERILATOR
      systolith_memory_open(image, size);
`else
      if ($value$plusargs("image_out=%s", image_out)) begin end
      if ($value$plusargs("memory_size=%d", size)) begin end
      file = $fopen(image, "rb");
      index = $fread(bytes, file);
      $fclose(file);
`endif
    end
  end

  task violation(input [8*48-1:0] what);
    begin
      violations = violations + 1;
      if (violations <= 20) $display("axi_memory: %0t: violation: %0s", $time, what);
    end
  endtask

  // State ---------------------------------------------------------------------------------------
  reg [63:0] now;
  reg [63:0] random;
  reg [31:0] credit, available;
  reg read_turn;
  reg writing, turning;  // direction of the last beat; whether the next one waits for a turnaround
  reg [63:0] moved;  // time of the last beat

  // Queue of read addresses, and the position within the first burst.
  reg [ADDR_WIDTH-1:0] ar_address[0:DEPTH-1];
  reg [ID_WIDTH-1:0] ar_id[0:DEPTH-1];
  reg [7:0] ar_length[0:DEPTH-1];
  reg [63:0] ar_time[0:DEPTH-1];
  reg [31:0] ar_first, ar_count, reads_under_way;
  reg [7:0] r_beat;
  reg [ADDR_WIDTH-1:0] r_address;

  // Queue of write addresses, and the position within the first burst; write data; responses.
  reg [ADDR_WIDTH-1:0] aw_address[0:DEPTH-1];
  reg [ID_WIDTH-1:0] aw_id[0:DEPTH-1];
  reg [7:0] aw_length[0:DEPTH-1];
  reg [31:0] aw_first, aw_count, writes_under_way;
  reg [7:0] w_beat;
  reg [ADDR_WIDTH-1:0] w_address;
  reg [8*DATA_BYTES-1:0] w_data[0:WRITE_BEATS-1];
  reg [DATA_BYTES-1:0] w_strobe[0:WRITE_BEATS-1];
  reg w_last[0:WRITE_BEATS-1];
  reg [31:0] w_first, w_count, w_index;
  reg [1:0] w_response;
  reg [1:0] b_response[0:DEPTH-1];
  reg [ID_WIDTH-1:0] b_id[0:DEPTH-1];
  reg [63:0] b_time[0:DEPTH-1];
  reg [31:0] b_first, b_count;

  reg want_read, want_write;
  reg [31:0] breach_time;  // cycles for which `breach` has not been 0
  reg [ID_WIDTH-1:0] served;
  reg breaches, breached;  // breaks the protocol now; a breach that happens once has happened
  reg [1:0] response;
  reg [8*DATA_BYTES-1:0] data;
  integer lane;

  // An offer of the master that was not taken must stay unchanged.
  reg ar_waits, aw_waits, w_waits;
  reg [ADDR_WIDTH+7:0] ar_held, aw_held;
  reg [8*DATA_BYTES-1:0] w_held_data;
  reg [DATA_BYTES:0] w_held_strobe;

  function [31:0] after(input [31:0] place, input [31:0] steps, input [31:0] modulus);
    after = place + steps >= modulus ? place + steps - modulus : place + steps;
  endfunction

  function [1:0] answer(input [ADDR_WIDTH-1:0] address);
    begin
      answer = OKAY;
      if ({{64 - ADDR_WIDTH{1'b0}}, address} + DATA_BYTES > size) answer = DECERR;
      else if ({{64 - ADDR_WIDTH{1'b0}}, address} + DATA_BYTES > error_base
          && {{64 - ADDR_WIDTH{1'b0}}, address} < error_end) answer = SLVERR;
    end
  endfunction

  task check_address(input [ADDR_WIDTH-1:0] address, input [7:0] length, input [2:0] beat_size,
                     input [1:0] burst);
    begin
      if (burst != 2'd1) violation("burst other than INCR");
      if (beat_size != SIZE) violation("beats narrower than the bus");
      if ({20'd0, address[11:0] & ~BEAT_MASK[11:0]} + ({24'd0, length} + 1) * DATA_BYTES > 4096)
        violation("burst across a 4 KiB boundary");
    end
  endtask

  always @(posedge clk) begin
    if (rst) begin
      alive = 1;
      now = {32'd0, turnaround};  // no turnaround before the first beat
      random = {seed, ~seed} ^ 64'h9E3779B97F4A7C15;
      credit = rate < COST ? COST - rate : 0;
      read_turn = 0;
      writing = 0;
      moved = 0;
      breach_time = 0;
      breached = 0;
      ar_first = 0;
      ar_count = 0;
      reads_under_way = 0;
      r_beat = 0;
      aw_first = 0;
      aw_count = 0;
      writes_under_way = 0;
      w_beat = 0;
      w_first = 0;
      w_count = 0;
      w_response = OKAY;
      b_first = 0;
      b_count = 0;
      ar_waits = 0;
      aw_waits = 0;
      w_waits = 0;
      arready <= 0;
      awready <= 0;
      wready <= 0;
      rvalid <= 0;
      bvalid <= 0;
    end else if (alive) begin
      now = now + 1;
      if (stalling) begin  // xorshift64, one byte per channel
        random = random ^ (random << 13);
        random = random ^ (random >> 7);
        random = random ^ (random << 17);
      end

      if (breach == 0) begin
        breach_time = 0;
        breached = 0;
      end else breach_time = breach_time + 1;
      breaches = breach_time > {16'd0, breach_at} && !breached;

      // Check that the master obeys the protocol.
`ifndef VERILATOR
      if ((^{arvalid, awvalid, wvalid, rready, bready}) === 1'bx) violation("unknown handshake");
`endif
      if (ar_waits && (!arvalid || ar_held != {araddr, arlen})) violation("AR changed");
      if (aw_waits && (!awvalid || aw_held != {awaddr, awlen})) violation("AW changed");
      if (w_waits && (!wvalid || w_held_data != wdata || w_held_strobe != {wlast, wstrb}))
        violation("W changed");
      ar_waits = arvalid && !arready;
      aw_waits = awvalid && !awready;
      w_waits = wvalid && !wready;
      if (ar_waits) ar_held = {araddr, arlen};
      if (aw_waits) aw_held = {awaddr, awlen};
      if (w_waits) begin
        w_held_data = wdata;
        w_held_strobe = {wlast, wstrb};
      end

      // Which direction moves a beat: reads to their output register, writes out of the queue?
      want_read = (!rvalid || rready) && ar_count != 0 && now >= ar_time[ar_first]
          && !(stalling && random[7:0] < stall_r[8:0]);
      want_write = w_count != 0 && aw_count != 0 && b_count != DEPTH;
      turning = 0;
      if (turnaround != 0) begin
        if (w_beat == 0 && w_count <= {24'd0, aw_length[aw_first]} && w_count != WRITE_BEATS)
          want_write = 0;
        if (want_read && want_write) begin
          want_read = writing ? w_beat == 0 : r_beat != 0;
          want_write = !want_read;
        end
        turning = (writing ? want_read : want_write) && now <= moved + {32'd0, turnaround};
      end
      available = turning ? credit : credit + rate;
      if (turning || available < COST) begin
        want_read = 0;
        want_write = 0;
      end else if (want_read && want_write && available < 2 * COST) begin
        want_read = read_turn;
        want_write = !read_turn;
        read_turn = !read_turn;
      end
      available = available - (want_read ? COST : 0) - (want_write ? COST : 0);
      // Unused bandwidth is lost.
      credit = available < COST ? available : rate < COST ? COST - rate : 0;
      if (want_read || want_write) begin
        writing = want_write;
        moved = now;
      end

      // Reads.
      if (rvalid && rready) begin
        rvalid <= 0;
        if (rlast && reads_under_way != 0) reads_under_way = reads_under_way - 1;
      end
      if (want_read) begin
        if (r_beat == 0) r_address = ar_address[ar_first] & ~BEAT_MASK;
        response = answer(r_address);
        data = 0;
        if (response == OKAY) begin
`ifdef VERILATOR
          systolith_memory_read({{64 - ADDR_WIDTH{1'b0}}, r_address}, DATA_BYTES, data);
`else
          for (lane = 0; lane < DATA_BYTES; lane = lane + 1)
            data[8*lane+:8] = bytes[r_address+lane];
`endif
        end
        rdata <= data;
        rresp <= response;
        served = ar_id[ar_first];
        rid <= served;
        rvalid <= 1;
        read_beats = read_beats + 1;
        r_address = r_address + DATA_BYTES;
        if (r_beat == ar_length[ar_first]) begin
          rlast <= 1;
          r_beat = 0;
          ar_first = after(ar_first, 1, DEPTH);
          ar_count = ar_count - 1;
        end else begin
          rlast <= breaches && breach == 4;
          if (breaches && breach == 7) rvalid <= 0;
          if (breach == 4 || breach == 7) breached = breached || breaches;
          r_beat = r_beat + 1;
        end
        if (breaches && breach == 5) rlast <= 0;
        if (breaches && breach == 6) rid <= ~served;
        if (breach == 6) breached = breached || breaches;
      end else if (breaches && (breach == 1 || breach == 2) && (!rvalid || rready)) begin
        rdata <= 0;
        rresp <= OKAY;
        rid <= breach == 2;
        rlast <= 1;
        rvalid <= 1;
        breached = 1;
      end

      // Writes.
      if (want_write) begin
        if (w_beat == 0) w_address = aw_address[aw_first] & ~BEAT_MASK;
        response = answer(w_address);
        if (response > w_response) w_response = response;
        if (response == OKAY) begin
`ifdef VERILATOR
          systolith_memory_write({{64 - ADDR_WIDTH{1'b0}}, w_address}, DATA_BYTES,
                                 w_data[w_first], w_strobe[w_first]);
`else
          data = w_data[w_first];
          for (lane = 0; lane < DATA_BYTES; lane = lane + 1)
            if (w_strobe[w_first][lane]) bytes[w_address+lane] = data[8*lane+:8];
`endif
        end
        write_beats = write_beats + 1;
        w_address = w_address + DATA_BYTES;
        if (w_last[w_first] != (w_beat == aw_length[aw_first])) violation("WLAST misplaced");
        if (w_beat == aw_length[aw_first]) begin
          w_index = after(b_first, b_count, DEPTH);
          b_id[w_index] = aw_id[aw_first];
          b_response[w_index] = w_response;
          b_time[w_index] = now + latency - 1;
          b_count = b_count + 1;
          w_response = OKAY;
          w_beat = 0;
          aw_first = after(aw_first, 1, DEPTH);
          aw_count = aw_count - 1;
        end else w_beat = w_beat + 1;
        w_first = after(w_first, 1, WRITE_BEATS);
        w_count = w_count - 1;
      end

      // Responses.
      if (bvalid && bready) begin
        bvalid <= 0;
        if (writes_under_way != 0) writes_under_way = writes_under_way - 1;
      end
      if ((!bvalid || bready) && b_count != 0 && now >= b_time[b_first]
          && !(stalling && random[15:8] < stall_b[8:0])) begin
        bvalid <= 1;
        bid <= b_id[b_first];
        bresp <= b_response[b_first];
        b_first = after(b_first, 1, DEPTH);
        b_count = b_count - 1;
      end else if (breaches && breach == 3 && (!bvalid || bready)) begin
        bvalid <= 1;
        bid <= 0;
        bresp <= OKAY;
        breached = 1;
      end

      // Take what the master transfers at this edge.
      if (arvalid && arready) begin
        check_address(araddr, arlen, arsize, arburst);
        w_index = after(ar_first, ar_count, DEPTH);
        ar_address[w_index] = araddr;
        ar_id[w_index] = arid;
        ar_length[w_index] = arlen;
        ar_time[w_index] = now + latency - 1;
        ar_count = ar_count + 1;
        reads_under_way = reads_under_way + 1;
      end
      if (awvalid && awready) begin
        check_address(awaddr, awlen, awsize, awburst);
        w_index = after(aw_first, aw_count, DEPTH);
        aw_address[w_index] = awaddr;
        aw_id[w_index] = awid;
        aw_length[w_index] = awlen;
        aw_count = aw_count + 1;
        writes_under_way = writes_under_way + 1;
      end
      if (wvalid && wready) begin
        w_index = after(w_first, w_count, WRITE_BEATS);
        w_data[w_index] = wdata;
        w_strobe[w_index] = wstrb;
        w_last[w_index] = wlast;
        w_count = w_count + 1;
      end
      arready <= !dead && reads_under_way < reads && !(stalling && random[23:16] < stall_ar[8:0]);
      awready <= !dead && writes_under_way < writes && !(stalling && random[31:24] < stall_aw[8:0]);
      wready <= !dead && w_count < WRITE_BEATS && !(stalling && random[39:32] < stall_w[8:0]);
    end
  end

endmodule
